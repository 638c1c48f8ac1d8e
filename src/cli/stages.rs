//! Startup and shutdown in order: intake stops first, delivery last; a loop that ends early stops the process.

use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use crate::planted::crash;

/// Tasks that are stopped together.
pub(super) struct Stage {
    name: &'static str,
    /// Ends the stage.
    pub(super) cancel: CancellationToken,
    tasks: JoinSet<()>,
    patience: Duration,
}

impl Stage {
    /// A stage that is given so long to stop.
    pub(super) fn new(name: &'static str, patience: Duration) -> Self {
        Self {
            name,
            cancel: CancellationToken::new(),
            tasks: JoinSet::new(),
            patience,
        }
    }

    /// Adds a task; it must end soon after the stage is cancelled, and not before.
    pub(super) fn spawn(&mut self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(task);
    }

    async fn ended_early(&mut self) {
        if self.tasks.is_empty() {
            std::future::pending::<()>().await;
        }
        self.tasks.join_next().await;
    }

    async fn stop(mut self) {
        self.cancel.cancel();
        let all = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(self.patience, all).await.is_err() {
            warn!(
                "{} did not stop within {} s and is ended",
                self.name,
                self.patience.as_secs()
            );
        }
    }
}

/// All stages, in the order in which they are stopped.
pub(super) struct Stages(pub(super) Vec<Stage>);

impl Stages {
    /// Waits until a task ends by itself; answers its stage's name. That is a fault: tasks end when they are told to.
    pub(super) async fn ended_early(&mut self) -> &'static str {
        let waits = self.0.iter_mut().map(|stage| {
            Box::pin(async move {
                stage.ended_early().await;
                stage.name
            })
        });
        let (name, _, _) = futures_util::future::select_all(waits).await;
        error!("{name} ended although nobody told it to; the process stops");
        name
    }

    /// Stops every stage, one after the other.
    pub(super) async fn stop(self) {
        crash("drain.begun");
        for stage in self.0 {
            stage.stop().await;
            crash("drain.stage_stopped");
        }
    }
}

/// Ctrl-C and SIGTERM, heard from the moment this is made: until then either ends the process at once, unclean.
pub(super) struct StopSignal {
    /// Empty where the system lets us hear none: then we run until we are killed.
    heard: Vec<Signal>,
}

impl StopSignal {
    /// Makes whoever asks us to stop wait for a clean end. To be made before anybody can see that we are ready.
    pub(super) fn listen() -> Self {
        let kinds = [SignalKind::interrupt(), SignalKind::terminate()];
        let heard = kinds.into_iter().filter_map(|kind| {
            signal(kind)
                .inspect_err(|why| warn!("signal {} can't be heard: {why}", kind.as_raw_value()))
                .ok()
        });
        Self {
            heard: heard.collect(),
        }
    }

    /// Waits for either.
    pub(super) async fn arrives(&mut self) {
        if self.heard.is_empty() {
            std::future::pending::<()>().await;
        }
        let waits = self.heard.iter_mut().map(|signal| Box::pin(signal.recv()));
        futures_util::future::select_all(waits).await;
    }
}
