//! The table of a helper in the settings.

use toml_edit::{Array, InlineTable, Item, Table, TableLike, Value};

use skein_helpers::{HelperLimits, HelperSpec, Secrets, Size, Transport};

/// Keys that say how a helper is reached.
const WAY: [&str; 10] = [
    "command",
    "args",
    "env",
    "env_vars",
    "cwd",
    "url",
    "bearer_token_env_var",
    "bearer_token_file",
    "http_headers",
    "env_http_headers",
];

/// Puts the way to `spec` in the place of the one that is there. Everything else stays; a helper that is off in `spec` is off. Returns
/// the keys that had to go.
pub(super) fn change_way(there: &mut dyn TableLike, spec: &HelperSpec) -> Vec<String> {
    let new = written(spec);
    for key in WAY.into_iter().filter(|key| !new.contains_key(key)) {
        there.remove(key);
    }
    let of_processes = "limits";
    let goes = matches!(spec.transport, Transport::Http(_)) && there.remove(of_processes).is_some();
    for (key, item) in new {
        let decided = there.get_mut(&key).filter(|_| !WAY.contains(&&*key)).and_then(Item::as_value_mut);
        match (decided, item.as_value()) {
            (Some(before), Some(value)) => {
                let decor = before.decor().clone();
                *before = value.clone();
                *before.decor_mut() = decor;
            }
            // A comment about what was there goes with it.
            (Some(_) | None, _) => drop(there.insert(&key, item)),
        }
    }
    if goes { vec![of_processes.to_owned()] } else { Vec::new() }
}

/// A helper by the keys of the file; what is as by default is left out.
pub(super) fn written(spec: &HelperSpec) -> Table {
    let mut table = Table::new();
    let mut put = |key: &str, value: Option<Value>| {
        if let Some(value) = value {
            table.insert(key, Item::Value(value));
        }
    };
    match &spec.transport {
        Transport::Stdio(stdio) => {
            put("command", Some(stdio.command.as_str().into()));
            put("args", list(&stdio.args));
            put("env", map(&stdio.env));
            put("env_vars", list(&stdio.env_vars));
            put("cwd", stdio.cwd.as_ref().map(|cwd| cwd.to_string_lossy().as_ref().into()));
            put("limits", limits(&stdio.limits));
        }
        Transport::Http(http) => {
            put("url", Some(http.url.as_str().into()));
            put("bearer_token_env_var", http.bearer_token_env_var.as_deref().map(Value::from));
            put(
                "bearer_token_file",
                http.bearer_token_file.as_ref().map(|path| path.to_string_lossy().as_ref().into()),
            );
            put("http_headers", map(&http.http_headers));
            put("env_http_headers", map(&Secrets(http.env_http_headers.clone())));
        }
    }
    put("enabled", (!spec.enabled).then(|| false.into()));
    table
}

fn list(texts: &[String]) -> Option<Value> {
    let list: Array = texts.iter().map(String::as_str).collect();
    (!list.is_empty()).then_some(Value::Array(list))
}

fn map(named: &Secrets) -> Option<Value> {
    let map: InlineTable = named.0.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    (!map.is_empty()).then_some(Value::InlineTable(map))
}

fn limits(limits: &HelperLimits) -> Option<Value> {
    let whole = |most: Option<u64>| most.and_then(|most| i64::try_from(most).ok()).map(Value::from);
    let HelperLimits { memory, processes, files, nice } = limits;
    let said = [
        ("memory", memory.map(|bytes| Size(bytes).to_string().into())),
        ("processes", whole(*processes)),
        ("files", whole(*files)),
        ("nice", nice.map(|nice| i64::from(nice).into())),
    ];
    let table: InlineTable = said.into_iter().filter_map(|(key, value)| Some((key, value?))).collect();
    (!table.is_empty()).then_some(Value::InlineTable(table))
}
