//! The core against its promise.

mod blocked;
mod breaker;
mod cases;
mod credentials;
mod desk;
mod discovery;
mod hard;
mod model;
mod pressure;
mod stopped;
mod world;
