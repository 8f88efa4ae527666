//! stub
use std::process::ExitCode;
/// stub
#[derive(Debug, clap::Args)]
pub struct Arguments {}
/// stub
pub fn run(_: &super::Global, _: &Arguments) -> anyhow::Result<ExitCode> { Ok(ExitCode::SUCCESS) }
