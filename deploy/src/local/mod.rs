//! The local environment: the checkout, the home, and the services on this machine with their
//! remembered state.

mod context;
pub(crate) mod docker;
mod home;
pub mod http;
pub(crate) mod localstack;
pub(crate) mod ports;
pub(crate) mod postgres;
pub(crate) mod process;
mod project;
pub mod python;
pub mod services;
pub mod state;

pub use context::{Context, ServiceOptions};
pub use home::{Home, HomeLock, write_whole};
pub use project::{Project, Venv};
