//! The local environment: the checkout, the home, the services on this machine, and what is remembered of them.

mod context;
pub mod docker;
mod home;
pub mod http;
pub mod localstack;
pub mod ports;
pub mod postgres;
pub mod process;
mod project;
pub mod python;
pub mod services;
pub mod state;

pub use context::{Context, ServiceOptions};
pub use home::{Home, HomeLock, write_whole};
pub use project::{Project, Venv};
