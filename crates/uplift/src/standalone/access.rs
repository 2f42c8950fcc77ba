//! How a shell gets at us: the server's address and two tokens, in a file for it to read.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use chrono::TimeDelta;
use secrecy::{ExposeSecret as _, SecretString};
use uplift_core::Clock;
use uplift_platform::{Ledger, ledger::Role};

use super::directory::{Directory, write_private};

/// How long a token is valid; the next start issues another one.
const DAYS: i64 = 365;

/// The tokens: variable, account, role.
const TOKENS: [(&str, &str, Role); 2] =
    [("UPLIFT_TOKEN", "standalone", Role::Customer), ("UPLIFT_OPS_TOKEN", "operators", Role::Operator)];

/// Writes the file, with the tokens that it had where these are good; gives its path.
pub(super) async fn write(ledger: &Ledger, directory: &Directory, server: &str) -> Result<PathBuf> {
    let file = directory.path().join("env");
    let mut text = format!("export UPLIFT_SERVER='{server}'\n");
    for (variable, account, role) in TOKENS {
        let token = match known(&file, variable) {
            Some(token) if is_good(ledger, &token, role).await? => token,
            _ => issue(ledger, account, role).await?,
        };
        text.push_str(&format!("export {variable}='{}'\n", token.expose_secret()));
    }
    write_private(&file, &text)?;
    Ok(file)
}

/// What an earlier start has written.
fn known(file: &Path, variable: &str) -> Option<SecretString> {
    let text = fs::read_to_string(file).ok()?;
    let value = text
        .lines()
        .find_map(|line| line.strip_prefix("export ")?.strip_prefix(variable)?.strip_prefix('='))?;
    Some(value.trim_matches('\'').to_owned().into())
}

async fn is_good(ledger: &Ledger, token: &SecretString, role: Role) -> Result<bool> {
    let bearer = ledger.bearer(token).await.context("look whose token that is")?;
    Ok(bearer.is_some_and(|bearer| bearer.role == role))
}

async fn issue(ledger: &Ledger, account: &str, role: Role) -> Result<SecretString> {
    let expires_at = Clock::System.now() + TimeDelta::days(DAYS);
    let actor = "uplift standalone";
    let issued =
        ledger.issue_token(account, role, actor, expires_at, actor).await.context("issue a token")?;
    Ok(issued.secret)
}
