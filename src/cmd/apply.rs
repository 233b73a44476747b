//! `zhenbei apply`: a site file becomes the register. A running daemon follows within a second.

use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;

use super::{Failure, people};
use crate::access::Audit;
use crate::app::open_store;
use crate::config;
use crate::model::SystemClock;
use crate::site::{Register, diff};

pub(super) fn run(file: &Path, site: &Path, dry_run: bool) -> Result<(), Failure> {
    let config = config::load(file).map_err(Failure::Config)?.config;
    let wanted = config::load_site(site).map_err(Failure::Data)?;
    people::block_on(async {
        let db = open_store(&config).await?;
        let audit = Audit::new(db.clone(), Arc::new(SystemClock));
        let register = Register::open(db.clone(), audit).await?;
        // A kind the file does not list is left alone; one it lists is the whole list.
        let some = |empty: bool| !empty;
        let plan = diff(
            (
                &register.cameras(),
                some(wanted.cameras.is_empty()).then_some(&wanted.cameras),
            ),
            (
                &register.vehicles(),
                some(wanted.vehicles.is_empty()).then_some(&wanted.vehicles),
            ),
        );
        if !dry_run && !plan.change.is_empty() {
            register
                .apply(
                    &people::command_line(),
                    &site.display().to_string(),
                    plan.change.clone(),
                )
                .await?;
        }
        db.close().await;
        writeln!(std::io::stdout(), "{plan}")?;
        Ok(())
    })
}
