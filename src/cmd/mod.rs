//! One file for each command. Exit codes: 0 ok, 1 failed, 2 usage, 64 bad configuration, 65 bad input data.

mod apply;
mod check;
mod check_config;
mod demo;
mod exit;
mod fsck;
mod openapi;
mod people;
mod run;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::archive::FsckOptions;

pub use exit::Failure;

/// Zhenbei (镇北): video monitoring and vehicle positioning for a city command centre.
#[derive(Parser)]
#[command(version, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Args)]
struct ConfigFile {
    /// The configuration; config/zhenbei.toml shows every key.
    #[arg(
        long,
        value_name = "FILE",
        env = "ZHENBEI_CONFIG",
        default_value = "/etc/zhenbei/zhenbei.toml"
    )]
    config: PathBuf,
}

#[derive(Subcommand)]
enum Command {
    /// Run the daemon.
    Run {
        #[command(flatten)]
        file: ConfigFile,
    },
    /// Run a synthetic city: simulated cameras (real RTSP servers) and trucks (real MQTT) with the daemon on top.
    Demo(demo::DemoArgs),
    /// Make the site what SITE.toml says: prints the difference, all or nothing, twice is as good as once.
    Apply {
        #[command(flatten)]
        file: ConfigFile,
        /// Only print what would change.
        #[arg(long)]
        dry_run: bool,
        /// Cameras and vehicles; config/site.example.toml shows every key.
        #[arg(value_name = "SITE.toml")]
        site: PathBuf,
    },
    /// Check the configuration and the media pipelines without starting anything.
    CheckConfig {
        #[command(flatten)]
        file: ConfigFile,
    },
    /// Check the archive: files, index, hash chain, deletions and gaps against each other. The daemon must not run. Exit 1 when
    /// something wrong remains.
    Fsck {
        #[command(flatten)]
        file: ConfigFile,
        /// Mend what can be mended; footage is never deleted.
        #[arg(long)]
        repair: bool,
        /// Forget what the index says of files and make it anew from the files alone; mends the rest as --repair does.
        #[arg(long)]
        rebuild: bool,
        /// Do not read the files: compare names, lengths and the index only.
        #[arg(long, conflicts_with = "rebuild")]
        quick: bool,
        /// One JSON document: {"findings": […], "summary": {…}}.
        #[arg(long)]
        json: bool,
    },
    /// Print the description of the HTTP interface (OpenAPI 3.1).
    Openapi,
    /// People.
    #[command(subcommand)]
    User(UserCommand),
    /// Print a new bearer token for machines.
    Token {
        #[command(flatten)]
        file: ConfigFile,
        /// Whose right the token has.
        #[arg(long)]
        user: String,
        /// What it is for, as the list of tokens shows it.
        #[arg(long, default_value = "command line")]
        name: String,
    },
    /// Native code for one job, started by the daemon itself.
    #[command(hide = true, disable_help_flag = true)]
    Worker {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<std::ffi::OsString>,
    },
    /// The cameras of the synthetic city, started by `demo`.
    #[command(hide = true, disable_help_flag = true)]
    DemoCameras {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<std::ffi::OsString>,
    },
}

#[derive(Subcommand)]
enum UserCommand {
    /// Add a person; the password is read from standard input.
    Add {
        #[command(flatten)]
        file: ConfigFile,
        name: String,
        /// admin, or a post such as shift_lead, dispatcher, operator, fleet_monitor, custodian, auditor, sysadmin.
        #[arg(long)]
        role: String,
        /// As the console shows it; the name when absent.
        #[arg(long)]
        display_name: Option<String>,
    },
    /// Set a person's password, read from standard input.
    Password {
        #[command(flatten)]
        file: ConfigFile,
        name: String,
    },
    /// List people with their posts.
    List {
        #[command(flatten)]
        file: ConfigFile,
    },
}

pub fn dispatch(cli: Cli) -> ExitCode {
    let result = match cli.command {
        // Children of the daemon: before anything else is set up.
        Command::Worker { args } => return crate::media::worker_main(args),
        Command::DemoCameras { args } => return crate::demo::cameras_main(args),
        Command::Run { file } => run::run(&file.config),
        Command::Demo(args) => demo::run(&args),
        Command::Apply {
            file,
            dry_run,
            site,
        } => apply::run(&file.config, &site, dry_run),
        Command::CheckConfig { file } => check_config::run(&file.config),
        Command::Fsck {
            file,
            repair,
            rebuild,
            quick,
            json,
        } => {
            let options = FsckOptions {
                repair,
                rebuild,
                quick,
            };
            fsck::run(&file.config, options, json)
        }
        Command::Openapi => openapi::run(),
        Command::User(UserCommand::Add {
            file,
            name,
            role,
            display_name,
        }) => people::add(&file.config, &name, &role, display_name.as_deref()),
        Command::User(UserCommand::Password { file, name }) => {
            people::set_password(&file.config, &name)
        }
        Command::User(UserCommand::List { file }) => people::list(&file.config),
        Command::Token { file, user, name } => people::token(&file.config, &user, &name),
    };
    exit::code(result)
}
