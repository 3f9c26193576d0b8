//! The way of sessions and tokens into another store, such as from a home to its database.

use std::collections::{HashMap, HashSet};

use skein_base::clock::WallMs;
use uuid::Uuid;

use super::AccessError;
use super::records::{CredentialChange, CredentialRecord, CredentialStore};
use crate::policy;

/// Copies the records of `from` that `to` has not, and the ends of those that it still has. A token whose name another one has
/// there gets a number behind its name. Both values are new: a value returns a record once. Returns how many records were copied.
///
/// # Errors
/// [`AccessError`]; a repetition copies the rest.
pub async fn carry(from: &dyn CredentialStore, to: &dyn CredentialStore) -> Result<usize, AccessError> {
    let (mut all, coming) = (to.read().await?.records, from.read().await?.records);
    let there: HashMap<Uuid, bool> = all.iter().map(|record| (record.id(), is_open(record))).collect();
    let ends: HashSet<Uuid> = coming
        .iter()
        .filter(|one| matches!(one, CredentialRecord::Ended(_)))
        .map(CredentialRecord::id)
        .collect();
    let stay = all.iter().filter(|record| !ends.contains(&record.id()));
    let mut names: HashSet<String> =
        stay.filter_map(CredentialRecord::unique_name).map(str::to_owned).collect();
    let mut changed = Vec::new();
    for mut record in coming.into_iter().filter(|record| is_wanted(record, &there)) {
        let is_taken = record.unique_name().is_some_and(|name| names.contains(name));
        if let CredentialRecord::Open(stored) = &mut record
            && is_taken
        {
            let name = free_name(&stored.name, &names);
            tracing::warn!(id = %stored.id, before = stored.name, now = name, "the name of a token is taken; it has another now");
            stored.name = name;
        }
        names.extend(record.unique_name().map(str::to_owned));
        changed.push(record);
    }
    let ids: HashSet<Uuid> = changed.iter().map(CredentialRecord::id).collect();
    all.retain(|record| !ids.contains(&record.id()));
    all.extend(changed.iter().cloned());
    let count = changed.len();
    if count > 0 {
        // Nothing is forgotten on the way.
        to.write(CredentialChange { all, changed, oldest_end: WallMs(0) }).await?;
    }
    Ok(count)
}

/// Whether a record goes to a place that has these, open or not.
fn is_wanted(record: &CredentialRecord, there: &HashMap<Uuid, bool>) -> bool {
    if matches!(record, CredentialRecord::Unreadable(_)) {
        tracing::warn!(id = %record.id(), "a credential that this version cannot read stays where it is");
        return false;
    }
    match there.get(&record.id()) {
        None => true,
        Some(was_open) => *was_open && !is_open(record),
    }
}

fn is_open(record: &CredentialRecord) -> bool {
    matches!(record, CredentialRecord::Open(_))
}

/// The name with the first number that makes it free.
fn free_name(name: &str, taken: &HashSet<String>) -> String {
    let numbered = |number: usize| {
        let end = format!("-{number}");
        let beginning: String = name.chars().take(policy::CREDENTIAL_NAME - end.len()).collect();
        beginning + &end
    };
    let mut number = 2;
    while taken.contains(&numbered(number)) {
        number += 1;
    }
    numbered(number)
}
