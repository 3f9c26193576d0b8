//! `--ws-auth` and its flags, as with the peer: a credential from every program on TCP.

use std::path::PathBuf;

use anyhow::{Context, ensure};
use clap::{Args, ValueEnum};
use skein_config::access::{
    Digest, ExpectedClaims, SignedTokenRules, WsAuth, read_shared_secret, read_token_file,
    warn_if_open_to_others,
};
use skein_config::policy::MAX_CLOCK_SKEW;

/// The tokens of which every program on TCP has to send one.
#[derive(Debug, Default, Clone, Args)]
pub(super) struct WsAuthArgs {
    /// Require a credential from everybody who connects over TCP: this token, a token with a signature, or one of skein token.
    #[arg(long, value_enum, value_name = "MODE")]
    ws_auth: Option<WsAuthMode>,
    /// For capability-token: the file that holds the token, of at least 32 characters. Only you should be able to read it.
    #[arg(long, value_name = "FILE", group = "ws_token", requires = "ws_auth")]
    ws_token_file: Option<PathBuf>,
    /// For capability-token: the SHA-256 of the token, in hexadecimal digits.
    #[arg(long, value_name = "HEX", group = "ws_token", requires = "ws_auth")]
    ws_token_sha256: Option<String>,
    /// For signed-bearer-token: the file that holds the secret of the signatures, of at least 32 bytes. Only you should be able to
    /// read it.
    #[arg(long, value_name = "FILE", requires = "ws_auth")]
    ws_shared_secret_file: Option<PathBuf>,
    /// For signed-bearer-token: the issuer (iss) that a token has to name.
    #[arg(long, value_name = "ISSUER", requires = "ws_auth")]
    ws_issuer: Option<String>,
    /// For signed-bearer-token: the audience (aud) that a token has to name.
    #[arg(long, value_name = "AUDIENCE", requires = "ws_auth")]
    ws_audience: Option<String>,
    /// For signed-bearer-token: the seconds by which the clock of the signer may differ [default: 30].
    #[arg(long, value_name = "SECONDS", requires = "ws_auth")]
    ws_max_clock_skew_seconds: Option<u32>,
}

/// The kinds of tokens of `--ws-auth`.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum WsAuthMode {
    /// One token for everybody.
    CapabilityToken,
    /// JSON Web Tokens that programs sign with a shared secret (HS256).
    SignedBearerToken,
}

impl WsAuthArgs {
    /// Reads the secret. Warns of a file that others can read. Blocks.
    ///
    /// # Errors
    /// A flag is missing or belongs to another mode, or its value cannot be used.
    pub(super) fn read(&self) -> anyhow::Result<Option<WsAuth>> {
        let Some(mode) = self.ws_auth else { return Ok(None) };
        self.fits(mode)?;
        Ok(Some(match mode {
            WsAuthMode::CapabilityToken => WsAuth::Capability(self.capability()?),
            WsAuthMode::SignedBearerToken => WsAuth::Signed(self.signed()?),
        }))
    }

    /// Refuses a flag of the other mode.
    fn fits(&self, mode: WsAuthMode) -> anyhow::Result<()> {
        let (own, other, given) = match mode {
            WsAuthMode::CapabilityToken => {
                let given = vec![
                    ("--ws-shared-secret-file", self.ws_shared_secret_file.is_some()),
                    ("--ws-issuer", self.ws_issuer.is_some()),
                    ("--ws-audience", self.ws_audience.is_some()),
                    ("--ws-max-clock-skew-seconds", self.ws_max_clock_skew_seconds.is_some()),
                ];
                ("capability-token", "signed-bearer-token", given)
            }
            WsAuthMode::SignedBearerToken => {
                let given = vec![
                    ("--ws-token-file", self.ws_token_file.is_some()),
                    ("--ws-token-sha256", self.ws_token_sha256.is_some()),
                ];
                ("signed-bearer-token", "capability-token", given)
            }
        };
        match given.into_iter().find(|(_, is_given)| *is_given) {
            Some((flag, _)) => anyhow::bail!(
                "{flag} belongs to --ws-auth {other}, not to --ws-auth {own}: leave it out, or choose the other mode"
            ),
            None => Ok(()),
        }
    }

    fn capability(&self) -> anyhow::Result<Digest> {
        if let Some(path) = &self.ws_token_file {
            let digest = read_token_file(path).context("--ws-token-file")?;
            warn_if_open_to_others(path, "the token file", ", and write another secret");
            return Ok(digest);
        }
        let hex = self.ws_token_sha256.as_deref();
        let hex =
            hex.context("--ws-auth capability-token needs --ws-token-file FILE or --ws-token-sha256 HEX")?;
        Digest::from_hex(hex).context("--ws-token-sha256")
    }

    fn signed(&self) -> anyhow::Result<SignedTokenRules> {
        let path = self.ws_shared_secret_file.as_deref();
        let path = path.context("--ws-auth signed-bearer-token needs --ws-shared-secret-file FILE")?;
        let secret = read_shared_secret(path).context("--ws-shared-secret-file")?;
        warn_if_open_to_others(path, "the file of the shared secret", ", and write another secret");
        let claims = ExpectedClaims {
            issuer: claim("--ws-issuer", self.ws_issuer.as_deref())?,
            audience: claim("--ws-audience", self.ws_audience.as_deref())?,
            max_clock_skew: self.ws_max_clock_skew_seconds.unwrap_or(MAX_CLOCK_SKEW),
        };
        Ok(SignedTokenRules::new(secret, claims))
    }
}

/// The value of a claim, without white space around it. The peer drops an empty one, and then accepts every token.
fn claim(flag: &str, value: Option<&str>) -> anyhow::Result<Option<String>> {
    let Some(value) = value.map(str::trim) else { return Ok(None) };
    ensure!(!value.is_empty(), "{flag} is empty: write the name that tokens carry, or leave it out");
    Ok(Some(value.to_owned()))
}
