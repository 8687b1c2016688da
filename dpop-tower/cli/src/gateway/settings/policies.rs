//! Routes and their requirements.

use std::time::Duration;

use dpop_tower::{
    Policy, PolicyTable,
    policy::{Draft, PolicyTableBuilder},
};
use http::Method;
use toml::Spanned;

use super::{
    error::{SettingsError, Source, explain},
    file::{File, ModeName, Route},
};

pub(super) fn policy(mode: ModeName) -> Policy {
    match mode {
        ModeName::Strict => Policy::strict(),
        ModeName::Optional => Policy::optional(),
        ModeName::ReportOnly => Policy::report_only(),
        ModeName::Off => Policy::off(),
        ModeName::Deny => Policy::deny(),
    }
}

/// Builds the table of all routes, if there are any.
pub(super) fn table(file: &File, source: &Source) -> Result<Option<PolicyTable>, SettingsError> {
    if file.route.is_empty() {
        return Ok(None);
    }
    let issuers = issuers(file);
    let mut table = PolicyTable::builder();
    for (index, route) in file.route.iter().enumerate() {
        let row = Row::of(index, route.get_ref(), &issuers, source)?;
        // Builds the row alone first. An error here is about this row.
        row.add_to(PolicyTable::builder())
            .build()
            .map_err(|error| row.rejected(source, &explain(&error)))?;
        table = row.add_to(table);
    }
    match table.otherwise(policy(file.mode)).build() {
        Ok(table) => Ok(Some(table)),
        Err(error) => Err(first_contradiction(file, source)
            .unwrap_or_else(|| source.error(0..0, "route", explain(&error)))),
    }
}

/// Returns the error for the first route that contradicts an earlier one.
fn first_contradiction(file: &File, source: &Source) -> Option<SettingsError> {
    let issuers = issuers(file);
    let mut table = PolicyTable::builder();
    for (index, route) in file.route.iter().enumerate() {
        let row = Row::of(index, route.get_ref(), &issuers, source).ok()?;
        table = row.add_to(table);
        if let Err(error) = table.clone().build() {
            return Some(row.rejected(source, &explain(&error)));
        }
    }
    None
}

/// Returns the identifiers of the issuers.
fn issuers(file: &File) -> Vec<&str> {
    let issuers = file.issuer.get_ref().iter();
    issuers
        .map(|issuer| issuer.get_ref().url.get_ref().as_str())
        .collect()
}

struct Row<'f> {
    index: usize,
    route: &'f Route,
    methods: Option<Vec<Method>>,
    policy: Policy<Draft>,
}

impl<'f> Row<'f> {
    fn of(
        index: usize,
        route: &'f Route,
        issuers: &[&str],
        source: &Source,
    ) -> Result<Self, SettingsError> {
        let field = |name: &str| format!("route[{index}].{name}");
        let methods = route.methods.as_ref().map(|methods| {
            let parse = |(i, method): (usize, &Spanned<String>)| {
                let known = Method::try_from(method.get_ref().as_str());
                // Methods are case-sensitive, and no client sends `get`.
                known
                    .ok()
                    .filter(|known| !known.as_str().contains(|c: char| c.is_ascii_lowercase()))
                    .ok_or_else(|| {
                        let field = format!("{}[{i}]", field("methods"));
                        source.error(method.span(), field, "expected a method such as GET")
                    })
            };
            methods
                .get_ref()
                .iter()
                .enumerate()
                .map(parse)
                .collect::<Result<Vec<_>, _>>()
        });
        let asks = route.asks_for();
        if let (ModeName::Off | ModeName::Deny, Some(asks)) = (route.mode, asks) {
            let mode = policy(route.mode).mode().as_str();
            let message = format!("`{asks}` has no effect in the mode `{mode}`");
            return Err(source.error(route.path.span(), field("mode"), message));
        }
        for (i, issuer) in route.issuers.iter().flat_map(Spanned::get_ref).enumerate() {
            if !issuers.contains(&issuer.get_ref().as_str()) {
                let field = format!("{}[{i}]", field("issuers"));
                let message = "must be the `url` of an `[[issuer]]`";
                return Err(source.error(issuer.span(), field, message));
            }
        }
        Ok(Self {
            index,
            route,
            methods: methods.transpose()?,
            policy: route.policy(),
        })
    }

    fn add_to(&self, table: PolicyTableBuilder) -> PolicyTableBuilder {
        let pattern = self.route.path.get_ref().as_str();
        match &self.methods {
            None => table.route(pattern, self.policy.clone()),
            Some(methods) => table.methods(pattern, methods.iter().cloned(), self.policy.clone()),
        }
    }

    fn rejected(&self, source: &Source, message: &str) -> SettingsError {
        let field = format!("route[{}].path", self.index);
        source.error(self.route.path.span(), field, message)
    }
}

impl Route {
    fn policy(&self) -> Policy<Draft> {
        let mut policy: Policy<Draft> = policy(self.mode).into();
        if let Some(issuers) = &self.issuers {
            policy = policy.require_any_issuer(issuers.get_ref().iter().map(Spanned::get_ref));
        }
        for scope in &self.scopes {
            policy = policy.require_scope(scope.get_ref());
        }
        if let Some(scopes) = &self.any_scope {
            policy = policy.require_any_scope(scopes.get_ref());
        }
        if let Some(acr) = &self.acr {
            policy = policy.require_acr(acr.get_ref());
        }
        if let Some(seconds) = self.max_auth_age {
            policy = policy.max_auth_age(Duration::from_secs(seconds));
        }
        if let Some(seconds) = self.max_age {
            policy = policy.max_proof_age(Duration::from_secs(seconds));
        }
        if self.require_nonce {
            policy = policy.require_nonce();
        }
        if self.accept_certificate_bound {
            policy = policy.accept_certificate_bound();
        }
        if self.require_certificate_bound {
            policy = policy.require_certificate_bound();
        }
        if self.offer_nonce {
            policy = policy.offer_nonce();
        }
        policy
    }

    /// Returns the first field that adds a requirement to the mode of the route.
    fn asks_for(&self) -> Option<&'static str> {
        [
            ("issuers", self.issuers.is_some()),
            ("scopes", !self.scopes.is_empty()),
            ("any_scope", self.any_scope.is_some()),
            ("acr", self.acr.is_some()),
            ("max_auth_age", self.max_auth_age.is_some()),
            ("max_age", self.max_age.is_some()),
            ("require_nonce", self.require_nonce),
            ("accept_certificate_bound", self.accept_certificate_bound),
            ("require_certificate_bound", self.require_certificate_bound),
        ]
        .into_iter()
        .find_map(|(name, is_set)| is_set.then_some(name))
    }
}
