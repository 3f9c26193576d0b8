//! What may be shown of arguments that users write, which are no place for secrets and hold some all the same.

/// What is shown in place of a secret.
pub const MASK: &str = "***";

/// What names of secrets have in them.
const SECRET: &[&str] = &["token", "key", "secret", "passw", "auth", "credential"];

/// Arguments without what may be secret: what follows the name of a secret, in the same argument or, behind a flag, in the
/// next one; and addresses with a user.
#[must_use]
pub fn shown_args<'a>(args: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut of_flag = false;
    args.map(|arg| {
        let at = arg.find(['=', ':']).map(|at| at + 1);
        let name = arg.get(..at.unwrap_or(arg.len())).unwrap_or_default();
        let is_named = SECRET.iter().any(|word| name.to_ascii_lowercase().contains(word));
        let is_address = arg.contains("://") && arg.contains('@');
        let is_next = std::mem::replace(&mut of_flag, is_named && at.is_none() && arg.starts_with('-'));
        match at {
            _ if is_next => MASK.to_owned(),
            Some(_) if is_named || is_address => format!("{name}{MASK}"),
            Some(_) | None => arg.to_owned(),
        }
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_named_like_a_secret_is_masked() {
        for (said, shown) in [
            (vec!["--root", "/", "--verbose"], vec!["--root", "/", "--verbose"]),
            (vec!["--api-key=s3cret", "x"], vec!["--api-key=***", "x"]),
            (vec!["--token", "s3cret", "x"], vec!["--token", "***", "x"]),
            (vec!["--PASSWORD", "--secret", "s3cret"], vec!["--PASSWORD", "***", "***"]),
            (vec!["MY_SECRET=a=b"], vec!["MY_SECRET=***"]),
            (vec!["--header", "Authorization: Bearer s3cret"], vec!["--header", "Authorization:***"]),
            (vec!["--db=postgres://me:s3cret@host/x"], vec!["--db=***"]),
            (vec!["keys.json"], vec!["keys.json"]),
        ] {
            assert_eq!(shown_args(said.iter().copied()), shown);
        }
    }
}
