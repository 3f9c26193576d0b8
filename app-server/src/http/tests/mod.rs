//! Whole connections to the routes.

mod fuzz;
