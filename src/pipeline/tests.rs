//! The core against its promise.

mod breaker;
mod cases;
mod credentials;
mod desk;
mod model;
mod pressure;
mod world;
