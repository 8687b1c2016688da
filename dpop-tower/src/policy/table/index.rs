//! The patterns of a table in one spelling, for looking up the readings of a path.

use std::collections::BTreeMap;

use http::Method;
use matchit::InsertError;

use super::{Entry, Rows, pattern::Pattern};

#[derive(Clone, Debug)]
pub(super) struct Index {
    /// Positions in `shapes`.
    routes: matchit::Router<usize>,
    shapes: Vec<Shape>,
}

/// A pattern in the spelling of the index. Several entries of the table can have the same.
#[derive(Clone, Debug)]
struct Shape {
    pattern: Pattern,
    entries: Vec<usize>,
    /// Other shapes that can match the same path and are not narrower than this one.
    around: Vec<usize>,
    /// Is `true` if no other shape is narrower or overlaps this one in part.
    is_simple: bool,
}

impl Index {
    /// Builds the index.
    ///
    /// The error contains the position of an entry that conflicts with another.
    pub(super) fn new(patterns: &[Pattern]) -> Result<Self, (usize, InsertError)> {
        let mut by_route: BTreeMap<String, (Pattern, Vec<usize>)> = BTreeMap::new();
        for (place, pattern) in patterns.iter().enumerate() {
            let same = by_route.entry(pattern.route());
            let (_, entries) = same.or_insert((pattern.clone(), Vec::new()));
            entries.push(place);
        }
        let mut routes = matchit::Router::new();
        let mut shapes = Vec::new();
        for (route, (pattern, entries)) in by_route {
            let first = entries.first().copied().unwrap_or_default();
            (routes.insert(route, shapes.len())).map_err(|error| (first, error))?;
            shapes.push(Shape {
                pattern,
                entries,
                around: Vec::new(),
                is_simple: true,
            });
        }
        let patterns: Vec<Pattern> = shapes.iter().map(|shape| shape.pattern.clone()).collect();
        for (place, shape) in shapes.iter_mut().enumerate() {
            for (other, pattern) in patterns.iter().enumerate() {
                if other == place || !pattern.overlaps(&shape.pattern) {
                    continue;
                }
                if !shape.pattern.contains(pattern) {
                    shape.around.push(other);
                }
                shape.is_simple &= pattern.contains(&shape.pattern);
            }
        }
        Ok(Self { routes, shapes })
    }

    /// Returns the entry that matches a path, if it is narrower than all others that match.
    pub(super) fn simple(&self, path: &str) -> Option<usize> {
        let place = *self.routes.at(path).ok()?.value;
        self.simple_entry(place)
    }

    /// Returns the only entry of a shape, if no other pattern applies to its paths.
    fn simple_entry(&self, place: usize) -> Option<usize> {
        let shape = self.shapes.get(place).filter(|shape| shape.is_simple)?;
        match shape.entries.as_slice() {
            [entry] => Some(*entry),
            _ => None,
        }
    }

    /// Returns whether only wider patterns match the paths of this entry.
    pub(super) fn is_simple(&self, entry: usize) -> bool {
        let mut shapes = self.shapes.iter();
        shapes.any(|shape| shape.is_simple && shape.entries == [entry])
    }

    /// Adds the rows of a request to `rows`. Returns `false` if no pattern matches.
    pub(super) fn collect(
        &self,
        entries: &[Entry],
        path: &str,
        method: &Method,
        rows: &mut Rows,
    ) -> bool {
        let Ok(narrowest) = self.routes.at(path) else {
            return false;
        };
        let place = *narrowest.value;
        let simple = self
            .simple_entry(place)
            .and_then(|entry| entries.get(entry));
        if let Some(row) = simple.and_then(|entry| entry.row(method)) {
            rows.add(row);
            return true;
        }
        let around = self.shapes.get(place).map(|shape| shape.around.as_slice());
        let fits = |place: &&usize| {
            let shape = self.shapes.get(**place);
            shape.is_some_and(|shape| shape.pattern.fits(path))
        };
        let mut fitting: Vec<&Shape> = (around.unwrap_or_default().iter())
            .chain([&place])
            .filter(fits)
            .filter_map(|place| self.shapes.get(*place))
            .collect();
        collect_narrowest(&mut fitting, entries, method, rows);
        true
    }
}

/// Collects the rows of the narrowest patterns that match.
///
/// If a pattern does not list the method, the wider patterns apply in addition, so a row for one method
/// does not exempt another.
fn collect_narrowest(
    fitting: &mut Vec<&Shape>,
    entries: &[Entry],
    method: &Method,
    rows: &mut Rows,
) {
    let is_narrowest = |shape: &Shape, fitting: &[&Shape]| {
        let is_narrower = |other: &&Shape| {
            other.pattern != shape.pattern && shape.pattern.contains(&other.pattern)
        };
        !fitting.iter().any(is_narrower)
    };
    let narrowest: Vec<&Shape> = (fitting.iter().copied())
        .filter(|shape| is_narrowest(shape, fitting))
        .collect();
    for shape in narrowest {
        let mut is_listed = true;
        for entry in shape.entries.iter().filter_map(|entry| entries.get(*entry)) {
            match entry.row(method) {
                Some(row) => rows.add(row),
                None => {
                    is_listed = false;
                    entry.rows_of_methods().for_each(|row| rows.add(row));
                }
            }
        }
        if !is_listed {
            let is_wider = |other: &&Shape| {
                other.pattern != shape.pattern && other.pattern.contains(&shape.pattern)
            };
            let mut wider: Vec<&Shape> = fitting.iter().copied().filter(is_wider).collect();
            if wider.is_empty() {
                rows.with_fallback = true;
            }
            collect_narrowest(&mut wider, entries, method, rows);
        }
    }
}
