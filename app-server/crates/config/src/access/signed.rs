//! The tokens of `--ws-auth signed-bearer-token`, as in the peer: JSON Web Tokens (RFC 7519) with a signature by HS256. Programs that
//! know the shared secret make them; the server only checks them.

use std::fmt;

use jsonwebtoken::crypto::{CryptoProvider, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::{Error, ErrorKind};
use jsonwebtoken::signature::{self, Verifier};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode};
use ring::hmac;
use serde::Deserialize;
use skein_base::clock::WallMs;
use zeroize::Zeroizing;

/// The rules for signed tokens.
#[derive(Clone, PartialEq, Eq)]
pub struct SignedTokenRules {
    secret: Zeroizing<Vec<u8>>,
    claims: ExpectedClaims,
}

/// The claims that a signed token has to have.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExpectedClaims {
    /// `iss`; `None` accepts every issuer, and tokens without one.
    pub issuer: Option<String>,
    /// One of `aud`; `None` accepts every audience, and tokens without one.
    pub audience: Option<String>,
    /// The seconds by which the clock of the maker may differ.
    pub max_clock_skew: u32,
}

/// Why a signed token gives no access.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum SignedTokenRefusal {
    /// Its form, its algorithm or its signature is wrong.
    #[error(
        "this is no JSON Web Token with a signature by HS256 and the secret of --ws-shared-secret-file, and with exp in whole \
         seconds"
    )]
    Invalid,
    /// Its time is over.
    #[error("this signed token has expired (exp); sign a new one")]
    Expired,
    /// Its time has not begun.
    #[error("this signed token is not valid yet (nbf); compare the clocks of both machines")]
    NotYet,
    /// Another issuer, or none.
    #[error("the issuer (iss) of this signed token is not that of --ws-issuer")]
    Issuer,
    /// Another audience, or none.
    #[error("the audience (aud) of this signed token is not that of --ws-audience")]
    Audience,
}

/// The claims that count. Others are ignored, as the peer ignores them.
#[derive(Deserialize)]
struct SignedClaims {
    exp: i64,
    nbf: Option<i64>,
    iss: Option<String>,
    aud: Option<AudienceClaim>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum AudienceClaim {
    One(String),
    Several(Vec<String>),
}

impl SignedTokenRules {
    /// Accepts tokens that are signed with this secret and have these claims.
    pub fn new(secret: Zeroizing<Vec<u8>>, claims: ExpectedClaims) -> Self {
        // An error says that an earlier value has installed the same provider.
        HS256.install_default().ok();
        Self { secret, claims }
    }

    /// Whether a text has the form of a signed token. Skein's own secrets have no dot.
    pub(super) fn is_signed(text: &str) -> bool {
        text.contains('.')
    }

    /// Checks a token at this time.
    ///
    /// # Errors
    /// [`SignedTokenRefusal`].
    pub(super) fn check(&self, token: &str, now: WallMs) -> Result<(), SignedTokenRefusal> {
        // The library reads the system's clock and has rules of its own for claims: here it checks algorithm and signature.
        let mut form = Validation::new(Algorithm::HS256);
        form.required_spec_claims.clear();
        form.validate_exp = false;
        form.validate_aud = false;
        let read = decode::<SignedClaims>(token, &DecodingKey::from_secret(&self.secret), &form);
        let read = read.map_err(|_| SignedTokenRefusal::Invalid)?;
        // The server understands no extension that a token could insist on (RFC 7515, section 4.1.11).
        if read.header.crit.is_some() {
            return Err(SignedTokenRefusal::Invalid);
        }
        self.claims.check(&read.claims, now.seconds())
    }
}

impl ExpectedClaims {
    fn check(&self, claims: &SignedClaims, now: i64) -> Result<(), SignedTokenRefusal> {
        let skew = i64::from(self.max_clock_skew);
        if now > claims.exp.saturating_add(skew) {
            return Err(SignedTokenRefusal::Expired);
        }
        if claims.nbf.is_some_and(|begin| now < begin.saturating_sub(skew)) {
            return Err(SignedTokenRefusal::NotYet);
        }
        if self.issuer.is_some() && claims.iss != self.issuer {
            return Err(SignedTokenRefusal::Issuer);
        }
        match &self.audience {
            Some(expected) if !claims.aud.as_ref().is_some_and(|audience| audience.has(expected)) => {
                Err(SignedTokenRefusal::Audience)
            }
            Some(_) | None => Ok(()),
        }
    }
}

impl AudienceClaim {
    fn has(&self, expected: &str) -> bool {
        match self {
            Self::One(one) => one == expected,
            Self::Several(several) => several.iter().any(|one| one == expected),
        }
    }
}

impl fmt::Debug for SignedTokenRules {
    /// Without the secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignedTokenRules").field("claims", &self.claims).finish_non_exhaustive()
    }
}

/// HS256 by ring, which the server's TLS uses, too. The library would bring crates for every algorithm.
static HS256: CryptoProvider = CryptoProvider {
    signer_factory: |_, _| Err(Error::from(ErrorKind::UnsupportedAlgorithm)),
    verifier_factory: |algorithm, key| {
        if *algorithm != Algorithm::HS256 {
            return Err(Error::from(ErrorKind::UnsupportedAlgorithm));
        }
        let key = hmac::Key::new(hmac::HMAC_SHA256, key.try_get_as_bytes()?);
        Ok(Box::new(Hs256Verifier(key)))
    },
    key_utils: KeyUtils::new_unimplemented(),
};

struct Hs256Verifier(hmac::Key);

impl Verifier<Vec<u8>> for Hs256Verifier {
    /// Compares in constant time.
    fn verify(&self, message: &[u8], tag: &Vec<u8>) -> Result<(), signature::Error> {
        hmac::verify(&self.0, message, tag).map_err(|_| signature::Error::new())
    }
}

impl JwtVerifier for Hs256Verifier {
    fn algorithm(&self) -> Algorithm {
        Algorithm::HS256
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use serde_json::{Value, json};

    use super::*;

    const SECRET: &str = "0123456789abcdef0123456789abcdef";
    const NOW: i64 = 1_790_000_000;

    fn rules(secret: &[u8], claims: ExpectedClaims) -> SignedTokenRules {
        SignedTokenRules::new(Zeroizing::new(secret.to_vec()), claims)
    }

    /// The check at [`NOW`], with a skew of 30 s.
    fn check(token: &str) -> Result<(), SignedTokenRefusal> {
        checked_at(token, NOW)
    }

    fn checked_at(token: &str, seconds: i64) -> Result<(), SignedTokenRefusal> {
        let claims = ExpectedClaims { max_clock_skew: 30, ..ExpectedClaims::default() };
        rules(SECRET.as_bytes(), claims).check(token, WallMs(seconds * 1000))
    }

    fn signed_by(header: &Value, claims: &Value, algorithm: hmac::Algorithm) -> String {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let text = format!("{}.{}", part(header), part(claims));
        let tag = hmac::sign(&hmac::Key::new(algorithm, SECRET.as_bytes()), text.as_bytes());
        format!("{text}.{}", URL_SAFE_NO_PAD.encode(tag))
    }

    fn signed(claims: &Value) -> String {
        signed_by(&json!({ "alg": "HS256", "typ": "JWT" }), claims, hmac::HMAC_SHA256)
    }

    #[test]
    fn a_token_of_another_program_passes() {
        // By PyJWT 2.15.1 with SECRET, of this issuer and for two audiences, from NOW for an hour.
        let token = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJpc3MiOiJkZXNrIiwiYXVkIjpbInNrZWluIiwib3RoZXIiXSwic3ViIjoiYWRhIiwib\
            mJmIjoxNzkwMDAwMDAwLCJleHAiOjE3OTAwMDM2MDB9.ihUM231cBcFJLaYpeE05Z_Fia77i8jVSD1uOUHZtVp8";
        let expected = |issuer: &str, audience: &str| {
            let claims = ExpectedClaims {
                issuer: Some(issuer.into()),
                audience: Some(audience.into()),
                max_clock_skew: 0,
            };
            rules(SECRET.as_bytes(), claims).check(token, WallMs(NOW * 1000))
        };
        assert_eq!(expected("desk", "skein"), Ok(()));
        assert_eq!(expected("desk", "other"), Ok(()));
        assert_eq!(expected("desk", "third"), Err(SignedTokenRefusal::Audience));
        assert_eq!(expected("shelf", "skein"), Err(SignedTokenRefusal::Issuer));
        let other = rules(SECRET.to_uppercase().as_bytes(), ExpectedClaims::default());
        assert_eq!(other.check(token, WallMs(NOW * 1000)), Err(SignedTokenRefusal::Invalid));
    }

    #[test]
    fn the_example_of_the_standard_passes_until_its_second_is_over() {
        // RFC 7515, appendix A.1.1.
        let key = "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow";
        let token = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxl\
            LmNvbS9pc19yb290Ijp0cnVlfQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
        let claims = ExpectedClaims { issuer: Some("joe".to_owned()), ..ExpectedClaims::default() };
        let rules = rules(&URL_SAFE_NO_PAD.decode(key).unwrap(), claims);
        assert_eq!(rules.check(token, WallMs(1_300_819_380_999)), Ok(()));
        assert_eq!(rules.check(token, WallMs(1_300_819_381_000)), Err(SignedTokenRefusal::Expired));
    }

    #[test]
    fn other_algorithms_and_signatures_are_refused() {
        let claims = json!({ "exp": NOW + 60 });
        let with = |header: Value, algorithm| signed_by(&header, &claims, algorithm);
        let token = signed(&claims);
        assert_eq!(check(&token), Ok(()));
        let (text, tag) = token.rsplit_once('.').unwrap();
        let of = |claims: &Value| URL_SAFE_NO_PAD.encode(claims.to_string());
        for wrong in [
            with(json!({ "alg": "none" }), hmac::HMAC_SHA256),
            with(json!({ "alg": "None" }), hmac::HMAC_SHA256),
            with(json!({ "alg": "HS512" }), hmac::HMAC_SHA512),
            with(json!({ "alg": "HS384" }), hmac::HMAC_SHA384),
            with(json!({ "alg": "RS256" }), hmac::HMAC_SHA256),
            with(json!({ "alg": "HS256" }), hmac::HMAC_SHA512),
            with(json!({ "typ": "JWT" }), hmac::HMAC_SHA256),
            with(json!({ "alg": "HS256", "crit": ["b64"], "b64": false }), hmac::HMAC_SHA256),
            format!("{text}."),
            text.to_owned(),
            format!("{text}.{}", &tag[..42]),
            format!("{token}.{tag}"),
            format!("{}.{}.{tag}", text.split_once('.').unwrap().0, of(&json!({ "exp": NOW + 9999 }))),
            ".".to_owned(),
            "..".to_owned(),
            "é.é.é".to_owned(),
        ] {
            assert_eq!(check(&wrong), Err(SignedTokenRefusal::Invalid), "{wrong}");
        }
    }

    #[test]
    fn a_token_needs_an_end_in_whole_seconds() {
        for claims in [
            json!({}),
            json!({ "iss": "desk" }),
            json!({ "exp": null }),
            json!({ "exp": "1790000060" }),
            json!({ "exp": 1_790_000_060.5 }),
            json!({ "exp": NOW + 60, "nbf": "now" }),
            json!({ "exp": NOW + 60, "aud": 7 }),
            json!([NOW + 60, null, null, null]),
        ] {
            assert_eq!(check(&signed(&claims)), Err(SignedTokenRefusal::Invalid), "{claims}");
        }
    }

    #[test]
    fn a_token_is_good_from_its_begin_to_its_end_with_the_skew_on_both_sides() {
        let token = signed(&json!({ "nbf": NOW, "exp": NOW + 60 }));
        for (seconds, result) in [
            (NOW - 31, Err(SignedTokenRefusal::NotYet)),
            (NOW - 30, Ok(())),
            (NOW + 90, Ok(())),
            (NOW + 91, Err(SignedTokenRefusal::Expired)),
        ] {
            assert_eq!(checked_at(&token, seconds), result, "{seconds}");
        }
        let far = signed(&json!({ "nbf": i64::MIN, "exp": i64::MAX }));
        assert_eq!(check(&far), Ok(()));
    }

    #[test]
    fn an_expected_claim_may_not_be_missing() {
        let token = signed(&json!({ "exp": NOW + 60 }));
        let check = |claims| rules(SECRET.as_bytes(), claims).check(&token, WallMs(NOW * 1000));
        let issuer = ExpectedClaims { issuer: Some("desk".to_owned()), ..ExpectedClaims::default() };
        assert_eq!(check(issuer), Err(SignedTokenRefusal::Issuer));
        let audience = ExpectedClaims { audience: Some("skein".to_owned()), ..ExpectedClaims::default() };
        assert_eq!(check(audience), Err(SignedTokenRefusal::Audience));
    }

    #[test]
    fn the_secret_is_not_printed() {
        let printed = format!("{:?}", rules(SECRET.as_bytes(), ExpectedClaims::default()));
        assert!(!printed.contains("48") && !printed.contains(SECRET), "{printed}");
    }
}
