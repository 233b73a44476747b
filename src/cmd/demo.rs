//! `zhenbei demo`: the synthetic city with a daemon of its own on top. `--check` drives the main job through it and judges.

use std::io::Write as _;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use clap::Args;
use tokio_util::sync::CancellationToken;

use super::people::command_line;
use super::{Failure, check};
use crate::access::{Access, Audit};
use crate::app::{Daemon, open_store, signalled};
use crate::config::{self, Config};
use crate::demo::{Plan, Servers};
use crate::media::this_program;
use crate::model::{Error, SystemClock};
use crate::site::{Register, diff};
use crate::telemetry;

/// The city is the same every time.
const SEED: u64 = 610_802;
const USER: &str = "admin";

#[derive(Args)]
pub(super) struct DemoArgs {
    /// Cameras, at least 6.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(6..=64))]
    cameras: u16,
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u16).range(1..=5000))]
    vehicles: u16,
    /// Keeps recordings, database and sign-in here from one start to the next.
    #[arg(long, default_value = "demo-data")]
    dir: PathBuf,
    /// Where the console is served.
    #[arg(long, default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// Drive the main job through the public interface, print one line a step, exit 0 only if all of it works. Uses free
    /// ports and a folder that is removed again.
    #[arg(long)]
    check: bool,
    /// Print address, user and password as one line of JSON, for scripts.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &DemoArgs) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("zhenbei")
        .build()?;
    if args.check {
        let dir = scratch_folder()?;
        let listen = SocketAddr::from(([127, 0, 0, 1], 0));
        let result = runtime.block_on(city(args, &dir, listen));
        match &result {
            Ok(()) => std::fs::remove_dir_all(&dir)?,
            Err(_) => writeln!(
                std::io::stderr(),
                "what was made is left in {}",
                dir.display()
            )?,
        }
        return result;
    }
    runtime.block_on(city(args, &args.dir, args.listen))
}

/// A new folder under the system's temporary one.
fn scratch_folder() -> Result<PathBuf, Failure> {
    let dir = std::env::temp_dir().join(format!("zhenbei-check-{}", uuid::Uuid::now_v7()));
    std::fs::create_dir_all(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
    Ok(dir)
}

async fn city(args: &DemoArgs, dir: &Path, listen: SocketAddr) -> Result<(), Failure> {
    std::fs::create_dir_all(dir).with_context(|| {
        format!(
            "cannot make {}; name another folder with --dir",
            dir.display()
        )
    })?;
    let dir = &dir.canonicalize()?;
    let mut plan = Plan::new(usize::from(args.cameras), usize::from(args.vehicles), SEED);
    let stop = CancellationToken::new();
    let servers = Servers::start(dir, &mut plan).await?;

    std::fs::write(dir.join("basemap.geojson"), plan.basemap())?;
    let site = dir.join("site.toml");
    std::fs::write(&site, plan.site_toml())?;
    let file = dir.join("zhenbei.toml");
    std::fs::write(&file, config_text(dir, listen, &servers.mqtt_url()))?;
    let loaded = config::load(&file).map_err(Failure::Config)?;
    telemetry::start_logging(&loaded.config.log)?;
    let numbers = telemetry::Numbers::start()?;
    apply_site(&loaded.config, &site).await?;
    let password = sign_in(&loaded.config, dir).await?;

    let mut daemon = Daemon::start(Arc::new(loaded.config), this_program(), numbers).await?;
    let url = daemon.url();
    let act = async {
        if args.check {
            let target = check::Target {
                url: &url,
                user: USER,
                password: &password,
                dir,
                cameras: usize::from(args.cameras),
                vehicles: usize::from(args.vehicles),
            };
            return check::run(&target).await.map_err(Failure::from);
        }
        announce(args, &url, &password)?;
        tokio::select! {
            signal = signalled() => signal?,
            part = daemon.failed() => {
                return Err(anyhow::anyhow!("the part `{part}` of the daemon ended by itself; see {}", dir.join("zhenbei.log").display()).into());
            }
        }
        Ok(())
    };
    // The city goes on beside whatever is done with it; when it cannot, that is said and all ends.
    let mut running = Box::pin(servers.run(stop.clone()));
    let (result, running) = tokio::select! {
        result = act => (result, Some(running)),
        failed = &mut running => (failed.map_err(Failure::from), None),
    };
    daemon.stop().await;
    stop.cancel();
    if let Some(running) = running {
        running.await?;
    }
    result
}

fn announce(args: &DemoArgs, url: &str, password: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout();
    if args.json {
        writeln!(
            out,
            "{}",
            serde_json::json!({ "url": url, "user": USER, "password": password })
        )?;
    } else {
        writeln!(
            out,
            "\n  The synthetic city is running: {} cameras, {} vehicles.\n",
            args.cameras, args.vehicles
        )?;
        writeln!(
            out,
            "    url:      {url}\n    user:     {USER}\n    password: {password}\n"
        )?;
        writeln!(
            out,
            "  Who opened or filed a case cannot close it: `zhenbei user add --role shift_lead` makes a second person.\n"
        )?;
        writeln!(out, "  Ctrl-C stops everything.")?;
    }
    out.flush()
}

/// Small, and honest about what a trial box can hold.
fn config_text(dir: &Path, listen: SocketAddr, mqtt: &str) -> String {
    let dir = dir.display();
    format!(
        "# Made by `zhenbei demo` at each start.\n\
         [site]\nname = \"榆林市 指挥中心\"\ncenter = [109.7345, 38.2852]\nzoom = 13.0\n\
         [http]\nlisten = \"{listen}\"\n\
         [data]\ndir = \"{dir}/data\"\n\
         [[mqtt]]\nurl = \"{mqtt}\"\n\
         [archive]\nretention_days = 30\nmax_bytes = 10_000_000_000\nmin_free_bytes = 1_000_000_000\n\
         [map]\nkind = \"geojson\"\nurl = \"basemap.geojson\"\ndir = \"{dir}\"\nattribution = \"合成城市 / synthetic city\"\n\
         [log]\nfilter = \"error\"\n"
    )
}

async fn apply_site(config: &Config, site: &Path) -> Result<(), Failure> {
    let wanted = config::load_site(site).map_err(Failure::Data)?;
    let db = open_store(config).await?;
    let register =
        Register::open(db.clone(), Audit::new(db.clone(), Arc::new(SystemClock))).await?;
    let plan = diff(
        (&register.cameras(), Some(&wanted.cameras)),
        (&register.vehicles(), Some(&wanted.vehicles)),
    );
    if !plan.change.is_empty() {
        register
            .apply(&command_line(), &site.display().to_string(), plan.change)
            .await?;
    }
    db.close().await;
    Ok(())
}

/// The password of the first start, kept beside the city's data for the next one (readable by its owner only).
async fn sign_in(config: &Config, dir: &Path) -> Result<String, Failure> {
    let file = dir.join("sign-in.txt");
    let db = open_store(config).await?;
    let clock = Arc::new(SystemClock);
    let access = Access::new(
        db.clone(),
        Audit::new(db.clone(), clock.clone()),
        clock,
        &config.access,
    );
    let first = access.ensure_first_admin(&command_line()).await?;
    db.close().await;
    if let Some(password) = first {
        let mut out = std::fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&file)?;
        writeln!(out, "{password}")?;
        return Ok(password);
    }
    match std::fs::read_to_string(&file) {
        Ok(text) => Ok(text.trim().to_owned()),
        Err(e) => Err(Error::invalid(
            "demo_password",
            format!(
                "{} is gone, and with it the demo's password; remove {} to begin anew",
                file.display(),
                dir.display()
            ),
        )
        .because(e)
        .into()),
    }
}
