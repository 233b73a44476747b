//! Whether the pipelines could run on this machine, asked of a worker before a viewer asks.

use std::time::Duration;

use super::Room;
use super::process::unexpected;
use super::protocol::Message;
use super::worker::Role;
use crate::model::{Error, Result};

/// The first start of GStreamer on a machine looks at every plugin.
const LIMIT: Duration = Duration::from_secs(60);

/// What is wrong with each pipeline that cannot run.
pub(crate) async fn problems(room: &Room) -> Result<Vec<String>> {
    let mut worker = room.spawner.spawn(Role::Transcode, &room.tasks).await?;
    let asked = tokio::time::timeout(LIMIT, async {
        let mut found = Vec::new();
        for name in room.pipelines.names() {
            let pipeline = Message::Pipeline {
                name: name.to_owned(),
                text: room.pipelines.text(name),
            };
            worker.input.send(&pipeline).await?;
            worker.input.send(&Message::Check).await?;
            match worker.output.next().await? {
                Some(Message::Checked { problem }) => {
                    found.extend(problem.map(|p| format!("pipelines/{name}.toml: {p}")));
                }
                Some(other) => return Ok(Err(unexpected(Role::Transcode, &other))),
                None => return Ok(Err(died(name))),
            }
        }
        Ok::<_, std::io::Error>(Ok(found))
    })
    .await;
    let answer = match asked {
        Ok(Ok(answer)) => answer,
        Ok(Err(e)) => Err(Error::unavailable(
            "worker_died",
            "the worker checking the pipelines died",
        )
        .because(e)),
        Err(_) => Err(Error::unavailable(
            "check_timeout",
            format!(
                "checking the pipelines took longer than {} s",
                LIMIT.as_secs()
            ),
        )),
    };
    worker.end().await;
    answer
}

fn died(name: &str) -> Error {
    Error::unavailable(
        "worker_died",
        format!(
            "the worker died while it checked pipelines/{name}.toml; run `gst-inspect-1.0` to see why"
        ),
    )
}
