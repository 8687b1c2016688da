//! Apache with `mod_oauth2`, from Debian's packages, configured in its own directory.

use std::{
    fs::{self, Permissions},
    net::TcpListener,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Command, Stdio},
};

use serde_json::Value;
use tempfile::TempDir;

use super::{
    Error, SERVER_CORE,
    process::Server,
    setup::{MAX_AGE, Setup},
};
use crate::URL;

/// Starts Apache on the servers' core.
///
/// Its store of used proofs has room for 1000, the default. It searches all of them for every request,
/// so a larger store would make it slower.
pub fn start(setup: &Setup) -> Result<Server, Error> {
    let directory = TempDir::new()?;
    let path = directory.path();
    // If it is started by root, its workers run as another user.
    fs::set_permissions(path, Permissions::from_mode(0o755))?;
    let orders = path.join("htdocs/orders");
    fs::create_dir_all(&orders)?;
    let name = URL.rsplit('/').next().unwrap_or_default();
    fs::write(orders.join(name), "ok")?;

    let address = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?;
    let configuration = path.join("apache.conf");
    fs::write(&configuration, configure(path, address.port(), setup)?)?;
    let child = Command::new("taskset")
        .args(["-c", SERVER_CORE, "apache2", "-D", "FOREGROUND", "-f"])
        .arg(&configuration)
        .stdin(Stdio::null())
        .spawn()?;
    Server::wait(child, address, directory).map_err(|error| format!("Apache: {error}").into())
}

fn configure(path: &Path, port: u16, setup: &Setup) -> Result<String, Error> {
    let mut jwk = serde_json::from_str::<Value>(&setup.jwks)?["keys"][0].clone();
    let kid = jwk["kid"].as_str().unwrap_or_default().to_owned();
    if let Some(members) = jwk.as_object_mut() {
        // This version does not accept the members that describe the use of a key.
        members.retain(|name, _| ["kty", "crv", "x", "y", "kid"].contains(&name.as_str()));
    }
    let jwk = jwk.to_string().replace('"', "\\\"");
    let path = path.to_str().ok_or("the path is not text")?;
    let options = format!(
        "type=dpop&kid={kid}&verify.exp=required&verify.iat=required&\
         verify.iat.slack_before={MAX_AGE}&dpop.iat.verify=required&\
         dpop.iat.slack.before={MAX_AGE}&dpop.expiry={MAX_AGE}"
    );
    Ok(format!(
        r#"ServerRoot "{path}"
ServerName api.example.com
Listen 127.0.0.1:{port}
PidFile "{path}/apache.pid"
DefaultRuntimeDir "{path}"
ErrorLog "{path}/error.log"
LogLevel crit
User www-data
Group www-data
LoadModule mpm_event_module /usr/lib/apache2/modules/mod_mpm_event.so
LoadModule authn_core_module /usr/lib/apache2/modules/mod_authn_core.so
LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
LoadModule authz_user_module /usr/lib/apache2/modules/mod_authz_user.so
LoadModule oauth2_module /usr/lib/apache2/modules/mod_oauth2.so
ServerLimit 1
StartServers 1
ThreadsPerChild 32
MaxRequestWorkers 32
KeepAlive On
MaxKeepAliveRequests 0
KeepAliveTimeout 60
DocumentRoot "{path}/htdocs"
<Location "/">
  AuthType oauth2
  OAuth2TokenVerify jwk "{jwk}" "{options}"
  OAuth2AcceptTokenIn header "name=Authorization&type=dpop"
  Require valid-user
</Location>
"#
    ))
}
