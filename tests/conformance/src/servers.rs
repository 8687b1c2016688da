//! Models of how servers transform a path before they look up a handler. They are not the servers' own
//! code, but work on bytes as the servers do.

type Step = fn(&[u8]) -> Vec<u8>;

pub struct Server {
    pub name: &'static str,
    steps: &'static [Step],
}

impl Server {
    /// Returns the path with which the server looks up a handler.
    pub fn read(&self, path: &str) -> String {
        let read = self
            .steps
            .iter()
            .fold(path.as_bytes().to_vec(), |path, step| step(&path));
        String::from_utf8_lossy(&read).into_owned()
    }
}

pub const SERVERS: [Server; 17] = [
    // Routes on the path as received, and decodes only parameters.
    Server {
        name: "axum",
        steps: &[],
    },
    Server {
        name: "Express",
        steps: &[decode, lower, no_last_slash],
    },
    Server {
        name: "Node's new URL()",
        steps: &[no_authority, backslash, dots, decode, lower, no_last_slash],
    },
    Server {
        name: "Tomcat",
        steps: &[no_parameters, decode, one_slash, dots, no_last_slash],
    },
    Server {
        name: "Jetty",
        steps: &[decode, no_parameters, one_slash, dots, no_last_slash],
    },
    Server {
        name: "Spring",
        steps: &[no_parameters, decode, one_slash, dots, trim, no_last_slash],
    },
    Server {
        name: "Django",
        steps: &[decode, no_last_newline, no_last_slash],
    },
    Server {
        name: "Python's urlparse",
        steps: &[no_last_parameters, decode, trim_last],
    },
    Server {
        name: "Go's ServeMux",
        steps: &[decode, dots, one_slash, no_last_slash],
    },
    Server {
        name: "Rails",
        steps: &[decode, one_slash, trim, no_last_slash],
    },
    Server {
        name: "nginx, then a service",
        steps: &[decode, one_slash, dots, decode, one_slash, dots],
    },
    Server {
        name: "IIS",
        steps: &[
            decode,
            backslash,
            one_slash,
            dots,
            trim,
            lower,
            no_last_slash,
        ],
    },
    Server {
        name: "ASP.NET behind a proxy",
        steps: &[decode, decode, backslash, trim, lower, no_last_slash],
    },
    Server {
        name: "PHP",
        steps: &[decode, cut_at_nul, one_slash, dots, no_last_slash],
    },
    Server {
        name: "a URL put together again",
        steps: &[decode, cut_at_query, no_parameters, one_slash, dots],
    },
    Server {
        name: "a rewriting proxy",
        steps: &[one_leading_slash, decode, cut_at_query, decode, trim_last],
    },
    Server {
        name: "whatever can be done",
        steps: &[
            decode,
            no_parameters,
            decode,
            no_parameters,
            backslash,
            one_slash,
            dots,
            cut_at_query,
            trim,
            lower,
            one_slash,
            no_last_slash,
        ],
    },
];

fn decode(path: &[u8]) -> Vec<u8> {
    percent_encoding::percent_decode(path).collect()
}

fn lower(path: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(path).to_lowercase();
    text.into_bytes()
}

fn no_last_slash(path: &[u8]) -> Vec<u8> {
    let mut path = path.to_vec();
    while path.len() > 1 && path.ends_with(b"/") {
        path.pop();
    }
    path
}

fn no_last_newline(path: &[u8]) -> Vec<u8> {
    let mut path = path.to_vec();
    if path.ends_with(b"\n") {
        path.pop();
    }
    path
}

fn backslash(path: &[u8]) -> Vec<u8> {
    path.iter()
        .map(|byte| if *byte == b'\\' { b'/' } else { *byte })
        .collect()
}

fn each_segment(path: &[u8], read: impl Fn(&[u8]) -> Vec<u8>) -> Vec<u8> {
    let segments: Vec<Vec<u8>> = path.split(|byte| *byte == b'/').map(read).collect();
    segments.join(&b'/')
}

fn no_parameters(path: &[u8]) -> Vec<u8> {
    each_segment(path, |segment| {
        segment.split(|byte| *byte == b';').next().unwrap().to_vec()
    })
}

fn last_segment(path: &[u8], read: impl Fn(&[u8]) -> Vec<u8>) -> Vec<u8> {
    let start = path
        .iter()
        .rposition(|byte| *byte == b'/')
        .map_or(0, |at| at + 1);
    [&path[..start], &read(&path[start..])].concat()
}

fn no_last_parameters(path: &[u8]) -> Vec<u8> {
    last_segment(path, |segment| {
        segment.split(|byte| *byte == b';').next().unwrap().to_vec()
    })
}

fn one_slash(path: &[u8]) -> Vec<u8> {
    let mut path = path.to_vec();
    path.dedup_by(|one, other| *one == b'/' && *other == b'/');
    path
}

fn one_leading_slash(path: &[u8]) -> Vec<u8> {
    let start = path
        .iter()
        .position(|byte| *byte != b'/')
        .unwrap_or(path.len());
    [b"/", &path[start..]].concat()
}

fn no_authority(path: &[u8]) -> Vec<u8> {
    match path.strip_prefix(b"//") {
        None => path.to_vec(),
        Some(rest) => match rest.iter().position(|byte| *byte == b'/') {
            Some(end) => rest[end..].to_vec(),
            None => b"/".to_vec(),
        },
    }
}

fn dots(path: &[u8]) -> Vec<u8> {
    let mut segments: Vec<&[u8]> = Vec::new();
    let all: Vec<&[u8]> = path.split(|byte| *byte == b'/').skip(1).collect();
    for (index, segment) in all.iter().enumerate() {
        let is_last = index + 1 == all.len();
        match *segment {
            b"." | b".." => {
                if *segment == b".." {
                    segments.pop();
                }
                if is_last {
                    segments.push(b"");
                }
            }
            other => segments.push(other),
        }
    }
    [b"/", &segments.join(&b'/')[..]].concat()
}

fn trimmed(segment: &[u8]) -> Vec<u8> {
    if segment.iter().all(|byte| *byte == b'.') {
        return segment.to_vec();
    }
    let text = String::from_utf8_lossy(segment);
    let is_trimmed =
        |c: char| c.is_whitespace() || c.is_ascii_control() || c == '.' || c == '\u{feff}';
    text.trim_end_matches(is_trimmed).as_bytes().to_vec()
}

fn trim(path: &[u8]) -> Vec<u8> {
    each_segment(path, trimmed)
}

fn trim_last(path: &[u8]) -> Vec<u8> {
    last_segment(path, trimmed)
}

fn cut(path: &[u8], marks: &[u8]) -> Vec<u8> {
    let end = path
        .iter()
        .position(|byte| marks.contains(byte))
        .unwrap_or(path.len());
    path[..end].to_vec()
}

fn cut_at_query(path: &[u8]) -> Vec<u8> {
    cut(path, b"?#")
}

fn cut_at_nul(path: &[u8]) -> Vec<u8> {
    cut(path, b"\0")
}
