//! Stands between the state machine and the functions: passes events on, and breaks what the plan
//! says.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Result;
use bytes::Bytes;
use serde_json::Value;

use super::lab::Lab;
use super::plan::{Fault, Kind, Plan};
use super::sabotage;
use crate::simulator::function::{Delivery, FunctionError, FunctionProcess};
use crate::simulator::machine;
use crate::simulator::machine::{Call, Services};

type Answer = std::result::Result<Value, FunctionError>;

/// The services of one schedule.
pub struct Injector {
    /// The services to break.
    pub lab: Arc<Lab>,
    plan: Option<Plan>,
    tally: Mutex<BTreeMap<Kind, u64>>,
    changed: Mutex<BTreeSet<String>>,
    under_way: AtomicUsize,
}

/// Work in the background, counted so that a schedule can wait for its end.
struct BackgroundWork(Arc<Injector>);

impl BackgroundWork {
    fn new(injector: &Arc<Injector>) -> Self {
        injector.under_way.fetch_add(1, Ordering::SeqCst);
        Self(injector.clone())
    }
}

impl Drop for BackgroundWork {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Services for Arc<Injector> {
    async fn invoke(&self, call: Call) -> Answer {
        let injector = self.clone();
        let under_way = BackgroundWork::new(self);
        // In a separate task, because a state machine that abandons a function does not stop it.
        let answer = tokio::spawn(async move {
            let _under_way = under_way;
            injector.perform(&call).await
        });

        answer.await.unwrap_or_else(|error| Err(test_error(&error)))
    }

    async fn object(&self, bucket: &str, key: &str) -> std::result::Result<Bytes, FunctionError> {
        match limit_increase::aws::storage::get(&self.lab.ready.aws.s3, bucket, key).await {
            Ok(Some(object)) => Ok(object),
            Ok(None) => Err(test_error(&format!("there is no s3://{bucket}/{key}"))),
            Err(error) => Err(test_error(&error)),
        }
    }
}

/// An error of the test itself, or of the machine on which it runs.
fn test_error(error: &dyn std::fmt::Display) -> FunctionError {
    FunctionError { error_type: "Test.Broken".to_owned(), message: format!("{error:#}") }
}

impl Injector {
    /// Services that break as this plan says. Without a plan they work.
    #[must_use]
    pub fn new(lab: &Arc<Lab>, plan: Option<Plan>) -> Arc<Self> {
        Arc::new(Self {
            lab: lab.clone(),
            plan,
            tally: Mutex::default(),
            changed: Mutex::default(),
            under_way: AtomicUsize::new(0),
        })
    }

    /// Waits until no work is left in the background.
    pub async fn settle(&self) {
        while self.under_way.load(Ordering::SeqCst) > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// How many faults of each kind there were.
    #[must_use]
    pub fn tally(&self) -> BTreeMap<Kind, u64> {
        lock(&self.tally).clone()
    }

    /// The customers that somebody else has changed.
    #[must_use]
    pub fn changed(&self) -> BTreeSet<String> {
        lock(&self.changed).clone()
    }

    /// Notes a customer that somebody else has changed.
    pub fn note_changed(&self, customer: String) {
        lock(&self.changed).insert(customer);
    }

    fn count(&self, kind: Kind) {
        *lock(&self.tally).entry(kind).or_default() += 1;
    }

    async fn perform(self: &Arc<Self>, call: &Call) -> Answer {
        let Some(fault) = self.plan.as_ref().and_then(|plan| plan.fault(call)) else {
            return self.plain(call).await;
        };

        if std::env::var_os("FAULT_TRACE").is_some() {
            eprintln!(
                "{} {:?} {} attempt {}: {fault:?}",
                call.run, call.item, call.state, call.attempt
            );
        }

        match fault.kind {
            Kind::KillBefore
            | Kind::KillDuring
            | Kind::KillAtAnswer
            | Kind::LoseAnswer
            | Kind::TwiceInTurn
            | Kind::TwiceSimultaneously
            | Kind::Freeze
            | Kind::Zombie
            | Kind::KillPooled => {
                self.count(fault.kind);
                self.with_process_fault(call, fault).await
            }

            Kind::Abort | Kind::TimeOut | Kind::Uncaught => {
                self.count(fault.kind);
                Err(self.without_answer(call, fault).await)
            }

            Kind::Storage403
            | Kind::Storage404
            | Kind::Storage503
            | Kind::StorageSlow
            | Kind::StorageTruncated
            | Kind::StorageRefused
            | Kind::StorageForgotten => {
                let rule = self.lab.storage.add(sabotage::storage_rule(call, fault));
                let answer = self.plain(call).await;
                if self.lab.storage.withdraw(rule) > 0 {
                    self.count(fault.kind);
                }

                answer
            }
            Kind::LoseCommit | Kind::LoseCommitAnswer => {
                let wire = &self.lab.database;
                if fault.kind == Kind::LoseCommit {
                    wire.lose_commit();
                } else {
                    wire.lose_answer();
                }

                let answer = self.plain(call).await;
                if wire.withdraw(fault.kind == Kind::LoseCommit) {
                    self.count(fault.kind);
                }

                answer
            }
            _ => {
                let under_way = BackgroundWork::new(self);
                let (injector, shared) = (self.clone(), call.clone());
                // A lock, for example, must be held before the step begins. Such faults end by
                // themselves.
                let (begun, ready) = tokio::sync::oneshot::channel();
                tokio::spawn(async move {
                    let _under_way = under_way;
                    match sabotage::commit(&injector, &shared, fault, begun).await {
                        Ok(true) => injector.count(fault.kind),
                        Ok(false) => {}
                        Err(error) => eprintln!("{:?} could not be done: {error:#}", fault.kind),
                    }
                });

                let _ = ready.await;
                self.plain(call).await
            }
        }
    }

    /// Sends the event once, without a fault.
    async fn plain(&self, call: &Call) -> Answer {
        self.answered(call, Delivery::Delivered).await
    }

    async fn answered(&self, call: &Call, delivery: Delivery) -> Answer {
        let process = self.process(call).await?;
        let answer = process.invoke_with(&call.payload, delivery).await;
        self.lab.pool.give_back(&call.function, process);
        answer
    }

    async fn process(&self, call: &Call) -> std::result::Result<FunctionProcess, FunctionError> {
        self.lab.pool.take(&call.function).await.map_err(|error| test_error(&error))
    }

    async fn with_process_fault(self: &Arc<Self>, call: &Call, fault: Fault) -> Answer {
        let after = Duration::from_millis(fault.after_ms);
        let length = Duration::from_millis(fault.for_ms);
        match fault.kind {
            Kind::KillBefore => {
                let process = self.process(call).await?;
                process.kill().await;
                process.invoke(&call.payload).await
            }
            Kind::KillDuring => {
                let process = self.process(call).await?;
                let kill = async {
                    tokio::time::sleep(after).await;
                    process.kill().await;
                };

                tokio::join!(process.invoke(&call.payload), kill).0
            }
            Kind::KillAtAnswer => self.answered(call, Delivery::Killed).await,
            Kind::LoseAnswer => self.answered(call, Delivery::Lost).await,
            Kind::TwiceInTurn => {
                let _ = self.plain(call).await;
                self.plain(call).await
            }
            Kind::TwiceSimultaneously => {
                let (first, second) = tokio::join!(self.plain(call), self.plain(call));
                if fault.dice.is_multiple_of(2) { first } else { second }
            }
            Kind::Freeze => {
                let process = self.process(call).await?;
                let freeze = async {
                    tokio::time::sleep(after).await;
                    process.pause();
                    tokio::time::sleep(length).await;
                    process.resume();
                };

                let answer = tokio::join!(process.invoke(&call.payload), freeze).0;
                self.lab.pool.give_back(&call.function, process);
                answer
            }
            Kind::KillPooled => {
                let process = self.process(call).await?;
                process.pause();
                if let Ok(client) = self.lab.admin().await {
                    let _ = self.lab.end_backends(&client).await;
                }

                process.resume();
                let answer = process.invoke(&call.payload).await;
                self.lab.pool.give_back(&call.function, process);
                answer
            }
            _ => self.zombie(call, after, length).await,
        }
    }

    /// The function continues, and its answer reaches nobody, because the execution or the shard
    /// has ended.
    async fn without_answer(self: &Arc<Self>, call: &Call, fault: Fault) -> FunctionError {
        let under_way = BackgroundWork::new(self);
        let (injector, shared) = (self.clone(), call.clone());
        tokio::spawn(async move {
            let _under_way = under_way;
            let _ = injector.plain(&shared).await;
        });

        tokio::time::sleep(Duration::from_millis(fault.after_ms)).await;
        let error_type = match fault.kind {
            Kind::Abort => "ABORTED",
            Kind::TimeOut => "TIMED_OUT",
            _ => "States.DataLimitExceeded",
        };

        FunctionError {
            error_type: error_type.to_owned(),
            message: format!("{:?} at {}", fault.kind, call.state),
        }
    }

    /// The state machine's time-out fires while the function hangs, and another environment gets
    /// the event. Then the first one continues and does not know about it.
    async fn zombie(self: &Arc<Self>, call: &Call, after: Duration, length: Duration) -> Answer {
        let process = self.process(call).await?;
        let under_way = BackgroundWork::new(self);
        let (injector, shared) = (self.clone(), call.clone());
        let (sender, given_up) = tokio::sync::oneshot::channel();
        tokio::spawn(async move {
            let _under_way = under_way;
            let hang = async {
                tokio::time::sleep(after).await;
                process.pause();
                let _ = sender.send(());
                tokio::time::sleep(length).await;
                process.resume();
            };

            let _ = tokio::join!(process.invoke(&shared.payload), hang);
            injector.lab.pool.give_back(&shared.function, process);
        });

        let _ = given_up.await;
        Err(FunctionError {
            error_type: "States.Timeout".to_owned(),
            message: "the task timed out".to_owned(),
        })
    }

    /// Starts an execution on these services.
    ///
    /// # Errors
    /// As [`machine::Machine::start`].
    pub async fn start(
        self: &Arc<Self>,
        machine: &machine::Machine,
        run: &str,
        input: &Value,
    ) -> Result<machine::ExecutionEnd> {
        machine.start(self, run, input).await
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
