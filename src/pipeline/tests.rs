//! The core against its promise.

mod cases;
mod credentials;
mod desk;
mod model;
mod pressure;
mod world;
