//! Path patterns: parsing and comparison.

use std::borrow::Cow;

use crate::policy::path;

/// A pattern of axum: fixed segments, `{name}` for one segment, `{*name}` for the rest of the path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pattern(Vec<Segment>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Segment {
    Fixed(String),
    /// One segment.
    One,
    /// One segment that is not empty, and everything after it.
    Rest,
}

/// The spelling of the fixed parts of a pattern, for the comparison with a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spelling {
    /// The spelling for a server that compares the path as it was sent.
    AsSent,
    /// The spelling for a server that decodes the path.
    Decoded {
        /// The server ignores case.
        is_folded: bool,
        /// The server ignores a trailing slash.
        is_trimmed: bool,
    },
}

impl Spelling {
    pub(super) const ALL: [Self; 5] = [
        Self::AsSent,
        Self::decoded(false, false),
        Self::decoded(false, true),
        Self::decoded(true, false),
        Self::decoded(true, true),
    ];

    const fn decoded(is_folded: bool, is_trimmed: bool) -> Self {
        Self::Decoded {
            is_folded,
            is_trimmed,
        }
    }

    /// Returns whether the server distinguishes all paths that differ after decoding.
    pub(super) const fn is_exact(self) -> bool {
        matches!(
            self,
            Self::AsSent
                | Self::Decoded {
                    is_folded: false,
                    is_trimmed: false
                }
        )
    }
}

impl Pattern {
    /// Reads a pattern. The error says what is wrong with it and what to write.
    pub(super) fn parse(text: &str) -> Result<Self, Cow<'static, str>> {
        let Some(path) = text.strip_prefix('/') else {
            return Err("it does not begin with a slash".into());
        };
        check_characters(text)?;
        let mut segments = Vec::new();
        let mut parts = path.split('/').peekable();
        while let Some(part) = parts.next() {
            let segment = Segment::parse(part)?;
            let is_last = parts.peek().is_none();
            match &segment {
                Segment::Rest if !is_last => {
                    return Err(format!("nothing can follow {part:?}, which takes the rest").into());
                }
                Segment::Fixed(fixed) if fixed.is_empty() && !is_last => {
                    return Err("it has two slashes in a row, which are read as one".into());
                }
                _ => segments.push(segment),
            }
        }
        Ok(Self(segments))
    }

    /// Returns the same pattern in another spelling.
    pub(super) fn spelled(&self, spelling: Spelling) -> Self {
        let Spelling::Decoded {
            is_folded,
            is_trimmed,
        } = spelling
        else {
            return self.clone();
        };
        let spelled = |segment: &Segment| match segment {
            Segment::Fixed(fixed) if is_folded => {
                Segment::Fixed(path::folded(&path::decoded(fixed)))
            }
            Segment::Fixed(fixed) => Segment::Fixed(path::decoded(fixed)),
            other => other.clone(),
        };
        let mut segments: Vec<Segment> = self.0.iter().map(spelled).collect();
        if is_trimmed && segments.len() > 1 && segments.last().is_some_and(Segment::is_empty) {
            segments.pop();
        }
        Self(segments)
    }

    /// Returns the text for `matchit`, which does not depend on the names of parameters.
    pub(super) fn route(&self) -> String {
        let mut route = String::new();
        for (index, segment) in self.0.iter().enumerate() {
            route.push('/');
            match segment {
                Segment::Fixed(fixed) => {
                    route.push_str(&fixed.replace('{', "{{").replace('}', "}}"));
                }
                Segment::One => route.push_str(&format!("{{p{index}}}")),
                Segment::Rest => route.push_str("{*rest}"),
            }
        }
        route
    }

    /// Returns whether the pattern matches this path.
    ///
    /// As in `matchit`, a parameter can only be empty before a slash.
    pub(super) fn fits(&self, path: &str) -> bool {
        let Some(path) = path.strip_prefix('/') else {
            return false;
        };
        let (mut parts, mut segments) = (path.split('/'), self.0.iter().peekable());
        while let Some(segment) = segments.next() {
            match (segment, parts.next()) {
                (Segment::Fixed(fixed), Some(part)) if fixed == part => {}
                (Segment::One, Some(part)) if !part.is_empty() || segments.peek().is_some() => {}
                (Segment::Rest, Some(part)) => return !part.is_empty() || parts.next().is_some(),
                _ => return false,
            }
        }
        parts.next().is_none()
    }

    /// Returns whether the pattern matches every path that `other` matches.
    pub(super) fn contains(&self, other: &Self) -> bool {
        let mut others = other.0.iter();
        for segment in &self.0 {
            match (segment, others.next()) {
                (Segment::Rest, Some(theirs)) => {
                    // `/{*rest}` matches `//x` but not `/`.
                    return !theirs.is_empty() || others.next().is_some();
                }
                (Segment::One, Some(theirs)) if theirs.is_one_segment() => {}
                (Segment::Fixed(ours), Some(Segment::Fixed(theirs))) if ours == theirs => {}
                _ => return false,
            }
        }
        others.next().is_none()
    }

    /// Returns whether there are paths that both patterns match.
    pub(super) fn overlaps(&self, other: &Self) -> bool {
        let (mut ours, mut theirs) = (self.0.iter(), other.0.iter());
        loop {
            match (ours.next(), theirs.next()) {
                (None, None) => return true,
                (Some(Segment::Rest), Some(segment)) => {
                    return !segment.is_empty() || theirs.next().is_some();
                }
                (Some(segment), Some(Segment::Rest)) => {
                    return !segment.is_empty() || ours.next().is_some();
                }
                (Some(Segment::Fixed(a)), Some(Segment::Fixed(b))) if a == b => {}
                (Some(Segment::One), Some(segment)) | (Some(segment), Some(Segment::One))
                    if !segment.is_empty() => {}
                _ => return false,
            }
        }
    }

    /// Returns a path that the pattern matches, with this text for each parameter.
    pub(super) fn example(&self, parameter: &str) -> String {
        let mut path = String::new();
        for segment in &self.0 {
            path.push('/');
            path.push_str(match segment {
                Segment::Fixed(fixed) => fixed,
                Segment::One | Segment::Rest => parameter,
            });
        }
        path
    }

    /// Returns whether the pattern ends with a parameter for the rest of the path.
    pub(super) fn takes_the_rest(&self) -> bool {
        matches!(self.0.last(), Some(Segment::Rest))
    }
}

impl Segment {
    fn parse(part: &str) -> Result<Self, Cow<'static, str>> {
        let of_another_framework = match part.split_at_checked(1) {
            Some((":", "")) => Some("{id}".to_owned()),
            Some((":", name)) => Some(format!("{{{name}}}")),
            Some(("*", "")) => Some("{*rest}".to_owned()),
            Some(("*", name)) => Some(format!("{{*{name}}}")),
            _ => None,
        };
        if let Some(instead) = of_another_framework {
            return Err(format!(
                "{part:?} would only fit requests with just this text; write {instead:?} as in axum 0.8"
            )
            .into());
        }
        let unescaped = part.replace("{{", "").replace("}}", "");
        if !unescaped.contains(['{', '}']) {
            return Ok(Self::Fixed(part.replace("{{", "{").replace("}}", "}")));
        }
        let inner = (part.strip_prefix('{')).and_then(|part| part.strip_suffix('}'));
        let is_name = |name: &str| !name.is_empty() && !name.contains(['{', '}', '*']);
        match inner.map(|inner| (inner, inner.strip_prefix('*'))) {
            Some((_, Some(name))) if is_name(name) => Ok(Self::Rest),
            Some((name, None)) if is_name(name) => Ok(Self::One),
            _ => Err(format!(
                "{part:?} is neither {{name}}, {{*name}} nor fixed text, in which a brace is doubled"
            )
            .into()),
        }
    }

    fn is_empty(&self) -> bool {
        matches!(self, Self::Fixed(fixed) if fixed.is_empty())
    }

    /// Returns whether the segment only matches one segment that is not empty.
    fn is_one_segment(&self) -> bool {
        match self {
            Self::Fixed(fixed) => !fixed.is_empty(),
            Self::One => true,
            Self::Rest => false,
        }
    }
}

/// Rejects characters that no request path contains.
fn check_characters(text: &str) -> Result<(), Cow<'static, str>> {
    if text.contains(['?', '#']) {
        return Err("it has a query or a fragment, and only the path is compared".into());
    }
    let is_of_paths = |c: char| c.is_ascii_alphanumeric() || "-._~!$&'()*+,;=:@/%{}".contains(c);
    if let Some(other) = text.chars().find(|c| !is_of_paths(*c)) {
        return Err(
            format!("no path has the character {other:?} in it (RFC 3986 section 3.3)").into(),
        );
    }
    if path::readings(text).is_err() {
        return Err(
            "requests for such a path are rejected: it has dot segments, a control character \
                    or an escape that is not one"
                .into(),
        );
    }
    let mut escapes =
        (text.match_indices('%')).filter_map(|(at, _)| text.get(at..at.saturating_add(3)));
    match escapes.find(|escape| path::is_needless(escape)) {
        Some(escape) => Err(format!(
            "{escape} is an escape of what needs none, or of a slash; write the character itself"
        )
        .into()),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> Pattern {
        Pattern::parse(text).unwrap_or_else(|why| panic!("{text}: {why}"))
    }

    #[test]
    fn what_fits_is_what_the_router_says() {
        let paths = [
            "/", "/a", "/a/", "/a//", "/a/b", "/a/b/", "/a/b/c", "//", "//a", "//b", "///",
            "/a//b", "/b",
        ];
        for text in [
            "/",
            "/a",
            "/a/",
            "/{x}",
            "/{*x}",
            "/a/{x}",
            "/a/{*x}",
            "/{x}/b",
            "/{x}/",
            "/{x}/{*y}",
        ] {
            let mut router = matchit::Router::new();
            router.insert(pattern(text).route(), ()).unwrap();
            for path in paths {
                assert_eq!(
                    pattern(text).fits(path),
                    router.at(path).is_ok(),
                    "{text} {path}"
                );
            }
        }
    }

    #[test]
    fn a_wider_pattern_contains_and_two_that_share_paths_overlap() {
        for (wide, narrow) in [
            ("/{*x}", "/a"),
            ("/{*x}", "/a/"),
            ("/{*x}", "/a/{y}"),
            ("/{*x}", "/{*y}"),
            ("/a/{*x}", "/a/{y}/{*z}"),
            ("/{x}", "/a"),
            ("/{x}/{y}", "/a/{z}"),
        ] {
            let (wide, narrow) = (pattern(wide), pattern(narrow));
            assert!(wide.contains(&narrow), "{wide:?} {narrow:?}");
            assert!(
                narrow == wide || !narrow.contains(&wide),
                "{wide:?} {narrow:?}"
            );
            assert!(wide.overlaps(&narrow) && narrow.overlaps(&wide));
        }
        for (one, other) in [
            ("/a/{x}/secret", "/a/b/{*rest}"),
            ("/{x}/b", "/a/{y}"),
            ("/{x}/b/{*y}", "/a/{*z}"),
        ] {
            let (one, other) = (pattern(one), pattern(other));
            assert!(!one.contains(&other) && !other.contains(&one));
            assert!(
                one.overlaps(&other) && other.overlaps(&one),
                "{one:?} {other:?}"
            );
        }
        for (one, other) in [
            ("/a", "/b"),
            ("/a", "/a/"),
            ("/", "/{*x}"),
            ("/{x}", "/{y}/{z}"),
            ("/a/{*x}", "/a"),
            ("/a/{*x}", "/a/"),
            ("/{x}/", "/a/{y}"),
        ] {
            let (one, other) = (pattern(one), pattern(other));
            assert!(
                !one.overlaps(&other) && !other.overlaps(&one),
                "{one:?} {other:?}"
            );
            assert!(!one.contains(&other) && !other.contains(&one));
        }
    }

    #[test]
    fn a_spelling_is_that_of_the_readings_it_is_compared_with() {
        let spelled = |text, is_folded, is_trimmed| {
            pattern(text)
                .spelled(Spelling::decoded(is_folded, is_trimmed))
                .route()
        };
        let text = "/Caf%C3%89/{Id}/";
        assert_eq!(
            pattern(text).spelled(Spelling::AsSent).route(),
            "/Caf%C3%89/{p1}/"
        );
        assert_eq!(spelled(text, false, false), "/Caf\u{c9}/{p1}/");
        assert_eq!(spelled(text, false, true), "/Caf\u{c9}/{p1}");
        assert_eq!(spelled(text, true, false), "/caf\u{e9}/{p1}/");
        assert_eq!(spelled(text, true, true), "/caf\u{e9}/{p1}");
        assert_eq!(spelled("/", true, true), "/");
        assert_eq!(spelled("/{{A}}/{*x}", true, true), "/{{a}}/{*rest}");
    }

    #[test]
    fn a_pattern_that_can_never_fit_is_named_with_what_to_write() {
        for (text, told) in [
            ("", "slash"),
            ("orders", "slash"),
            ("/users/:id", r#"write "{id}""#),
            ("/:", r#"write "{id}""#),
            ("/files/*path", r#"write "{*path}""#),
            ("/files/*", r#"write "{*rest}""#),
            ("/{id", "neither"),
            ("/id}", "neither"),
            ("/a{id}", "neither"),
            ("/{id}.json", "neither"),
            ("/{}", "neither"),
            ("/{*}", "neither"),
            ("/{a}{b}", "neither"),
            ("/{*a}/b", "nothing can follow"),
            ("/a b", "' '"),
            ("/\u{e4}", "'\u{e4}'"),
            ("/<id>", "'<'"),
            ("/[id]", "'['"),
            ("/a?b", "query"),
            ("/a#b", "fragment"),
            ("/a//b", "two slashes"),
            ("//a", "two slashes"),
            ("/a/../b", "rejected"),
            ("/a/.", "rejected"),
            ("/%2e", "rejected"),
            ("/%00", "rejected"),
            ("/%zz", "rejected"),
            ("/%61", "%61"),
            ("/a%2fb", "%2f"),
        ] {
            let why = Pattern::parse(text).unwrap_err();
            assert!(why.contains(told), "{text}: {why}");
        }
        for good in [
            "/",
            "/a",
            "/a/",
            "/.well-known/x",
            "/v1/books:get",
            "/a*",
            "/caf%C3%A9",
            "/a%20b",
            "/a;v=1",
            "/{{id}}",
            "/{id}/{*rest}",
            "/pkg.Service/Method",
            "/~me",
        ] {
            assert!(Pattern::parse(good).is_ok(), "{good}");
        }
    }
}
