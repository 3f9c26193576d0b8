use skein_protocol::methods::METHODS;

use crate::handlers;

#[test]
fn every_row_of_the_table_has_a_handler() {
    assert_eq!(handlers::router().missing(), Vec::<&str>::new());
}

#[test]
fn a_row_without_a_handler_is_named() {
    let empty = super::Router::default();
    assert_eq!(empty.missing().len(), METHODS.len());
}
