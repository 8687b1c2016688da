//! `soak DPOP SECONDS RESULTS [RATE]`: the gateway and an axum service under mixed load, while the replay store and the
//! issuer fail. It fails if something grows, if a good request is rejected without a reason, or if a bad one is not.
//!
//! `soak plot CSV SVG` draws the plot of a table again.
//!
//! `soak api MAX_AGE LEEWAY` is the axum service, which this program starts.

mod api;
mod bad;
mod client;
mod faults;
mod hostile;
mod load;
mod logs;
mod people;
mod plot;
mod programs;
mod random;
mod record;
mod run;
mod servers;
mod state;
mod tls;
mod verdict;

use std::{env, process::ExitCode, time::Duration};

use dpop_tower_performance::load::Error;
use tokio::task::LocalSet;

use self::{record::Row, state::Settings};

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    match start(&arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn start(arguments: &[String]) -> Result<bool, Error> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (dpop, seconds, results, rate) = match arguments[..] {
        ["api", max_age, leeway] => {
            let serving = api::serve(max_age.parse()?, leeway.parse()?);
            return runtime.block_on(serving).map(|()| true);
        }
        ["plot", csv, svg] => {
            plot::draw(&Row::read(csv.as_ref())?, svg.as_ref())?;
            return Ok(true);
        }
        [dpop, seconds, results] => (dpop, seconds, results, None),
        [dpop, seconds, results, rate] => (dpop, seconds, results, Some(rate)),
        _ => return Err("usage: soak DPOP SECONDS RESULTS [RATE]".into()),
    };
    let length = Duration::from_secs(seconds.parse()?);
    let mut settings = Settings {
        dpop: dpop.into(),
        results: results.into(),
        length,
        rate: rate.unwrap_or("60").parse()?,
        // The defaults.
        max_age: 60,
        leeway: 10,
    };
    if !settings.is_long() {
        // The stores are then full, and the fences gone, before the run ends.
        (settings.max_age, settings.leeway) = (15, 1);
    }
    LocalSet::new().block_on(&runtime, run::run(settings))
}
