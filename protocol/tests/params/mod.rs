//! Each param of the methods that say how a thread or a turn is to work has a row that says what becomes of it.

use std::collections::BTreeSet;

use schemars::{JsonSchema, generate::SchemaSettings};
use skein_protocol::{
    methods::for_each_method,
    params::{self, Treatment},
    table::{Method, MethodVisitor},
};

struct Params(usize);

fn names<T: JsonSchema>() -> BTreeSet<String> {
    let schema =
        SchemaSettings::draft2020_12().for_deserialize().into_generator().into_root_schema_for::<T>();
    let properties = schema.get("properties").and_then(|members| members.as_object()).expect("an object");
    properties.keys().filter(|name| *name != "skein").cloned().collect()
}

impl MethodVisitor for Params {
    fn visit<M: Method>(&mut self) {
        if !params::METHODS.contains(&M::INFO.wire) {
            return;
        }
        let rows: Vec<_> = params::of(M::INFO.wire).collect();
        let said: BTreeSet<String> = rows.iter().map(|row| row.name.to_owned()).collect();
        assert_eq!(said.len(), rows.len(), "{}: one stands twice", M::INFO.wire);
        assert_eq!(said, names::<M::Params>(), "{}", M::INFO.wire);
        for row in rows {
            match row.treatment {
                Treatment::Honoured => {}
                Treatment::HonouredFor(reason)
                | Treatment::PassedOver(reason)
                | Treatment::Refused(reason) => {
                    assert!(reason.len() > 10, "{}: {reason:?} is no reason", row.name);
                }
            }
        }
        self.0 += 1;
    }
}

#[test]
fn the_fate_of_each_param_of_a_thread_or_a_turn_is_documented() {
    let mut tested = Params(0);
    for_each_method(&mut tested);
    assert_eq!(tested.0, params::METHODS.len());
}
