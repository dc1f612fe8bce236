//! The core against its promise.

mod breaker;
mod cases;
mod credentials;
mod desk;
mod hard;
mod model;
mod pressure;
mod world;
