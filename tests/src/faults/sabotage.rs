//! The faults outside the process: in S3, in PostgreSQL, and other people's changes.

use std::os::unix::fs::{MetadataExt as _, chown, symlink};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result};
use hyper::Method;
use limit_increase::model::KEY;
use tokio::sync::oneshot;
use tokio_postgres::Client;

use super::injector::Injector;
use super::lab::Lab;
use super::plan::{Fault, Kind};
use crate::simulator::machine::Call;
use crate::simulator::storage_proxy::{Rule, StorageFault};

/// The rule that breaks the requests of this call to S3.
#[must_use]
pub fn storage_rule(call: &Call, fault: Fault) -> Rule {
    let reads = fault.kind == Kind::StorageTruncated || fault.dice.is_multiple_of(2);
    let path = match (call.item, call.state.as_str(), reads) {
        (Some(item), ..) => vec![format!("run={}/", call.run), format!("part-{item:05}")],
        (None, "QueryBatchScores", true) => vec![KEY.to_owned()],
        (None, ..) => vec![format!("run={}/", call.run)],
    };

    let effect = match fault.kind {
        Kind::Storage403 => StorageFault::Status(403),
        Kind::Storage404 => StorageFault::Status(404),
        Kind::StorageSlow => StorageFault::Slow(Duration::from_millis(fault.for_ms)),
        Kind::StorageTruncated => StorageFault::Truncated,
        Kind::StorageRefused => StorageFault::Refused,
        Kind::StorageForgotten => StorageFault::Forgotten,
        _ => StorageFault::Status(503),
    };

    // The client retries twice by itself. More faults reach the state machine.
    let times = 1 + (fault.dice / 2 % 4) as u32;
    Rule { method: if reads { Method::GET } else { Method::PUT }, path, fault: effect, times }
}

/// Does the damage, and repairs it where the fault has an end. Signals with `begun` that the step
/// may begin. Returns whether there was anything to damage.
///
/// # Errors
/// When a service does not answer.
pub async fn commit(
    injector: &Injector,
    call: &Call,
    fault: Fault,
    begun: oneshot::Sender<()>,
) -> Result<bool> {
    let lab = &*injector.lab;
    let after = Duration::from_millis(fault.after_ms);
    let length = Duration::from_millis(fault.for_ms);
    let begin = |begun: oneshot::Sender<()>| {
        // The receiver is gone if the schedule has ended.
        let _ = begun.send(());
    };

    match fault.kind {
        Kind::HoldLocks => {
            let client = lab.admin().await?;
            let lock = match (call.item, fault.dice % 3) {
                (Some(item), 0) => format!(
                    "SELECT pg_advisory_xact_lock(hashtextextended('{}', {item}))",
                    call.run.replace('\'', "''")
                ),
                (_, 1) => "SELECT FROM batch_scores ORDER BY customer_id FOR UPDATE".to_owned(),
                _ => "LOCK TABLE limit_increase_runs, limit_increase_shards IN EXCLUSIVE MODE"
                    .to_owned(),
            };

            client.batch_execute(&format!("BEGIN; {lock};")).await?;
            begin(begun);
            tokio::time::sleep(Duration::from_millis(450) + length).await;
            client.batch_execute("ROLLBACK").await?;
        }
        Kind::SlowStatement => {
            let client = lab.admin().await?;
            client.batch_execute("UPDATE brake SET seconds = 2.5").await?;
            begin(begun);
            tokio::time::sleep(Duration::from_millis(1500) + length).await;
            client.batch_execute("UPDATE brake SET seconds = 0").await?;
        }
        Kind::ReadOnly => {
            let client = lab.admin().await?;
            lab.refuse_writes(&client).await?;
            begin(begun);
            tokio::time::sleep(length).await;
            lab.take_writes(&client).await?;
        }
        Kind::DiskFull => {
            let _alone = lab.server.lock().await;
            let client = lab.admin().await?;
            let filled = fill_disk(lab, &client).await?;
            begin(begun);
            let Some(file) = filled else { return Ok(false) };
            tokio::time::sleep(length).await;
            free_disk(lab, &client, &file).await?;
        }
        _ => {
            begin(begun);
            tokio::time::sleep(after).await;
            match fault.kind {
                Kind::CutConnections => lab.database.cut(),
                Kind::TerminateBackends => lab.end_backends(&lab.admin().await?).await?,
                Kind::RestartDatabase => lab.restart_database().await?,
                Kind::ReplaceModel => lab.use_model(fault.dice as usize % 2).await?,
                Kind::ReplacePolicy => lab.use_policy(fault.dice as usize % 2).await?,
                Kind::ChangeCustomers => return change_customer(injector, fault.dice).await,
                other => anyhow::bail!("{other:?} is a fault of a process or of S3"),
            }
        }
    }

    Ok(true)
}

/// Replaces the file of the ledger's shards by a link to `/dev/full`, the kernel's device without
/// space. Only while the table is empty, because the file's content would be lost.
async fn fill_disk(lab: &Lab, client: &Client) -> Result<Option<PathBuf>> {
    // A later checkpoint must not try to synchronise the table's old file.
    client.batch_execute("CHECKPOINT").await?;
    client
        .batch_execute("BEGIN; LOCK TABLE limit_increase_shards IN ACCESS EXCLUSIVE MODE")
        .await?;
    let row = client
        .query_one(
            "SELECT current_setting('data_directory'),
             pg_relation_filepath('limit_increase_shards'),
                    pg_relation_size('limit_increase_shards')",
            &[],
        )
        .await?;
    let file = PathBuf::from(row.get::<_, String>(0)).join(row.get::<_, String>(1));
    let empty = row.get::<_, i64>(2) == 0 && !file.is_symlink();
    if empty {
        std::fs::remove_file(&file)
            .with_context(|| format!("cannot replace {}", file.display()))?;
        symlink("/dev/full", &file)?;
    }

    client.batch_execute("COMMIT").await?;
    // A session keeps the files open that it has opened.
    lab.end_backends(client).await?;
    Ok(empty.then_some(file))
}

async fn free_disk(lab: &Lab, client: &Client, file: &std::path::Path) -> Result<()> {
    client
        .batch_execute("BEGIN; LOCK TABLE limit_increase_shards IN ACCESS EXCLUSIVE MODE")
        .await?;
    let owner = std::fs::metadata(file.parent().context("a file without a directory")?)?;
    std::fs::remove_file(file)?;
    std::fs::File::create_new(file)?;
    chown(file, Some(owner.uid()), Some(owner.gid()))?;
    client.batch_execute("COMMIT").await?;
    lab.end_backends(client).await
}

/// Changes, decides or deletes an undecided customer, or adds one, as somebody else would.
async fn change_customer(injector: &Injector, dice: u64) -> Result<bool> {
    let client = injector.lab.admin().await?;
    let victim = "SELECT customer_id FROM batch_scores
                  WHERE limit_increase_decision IS NULL AND current_score >= 600
                  AND current_limit < 10000
                  ORDER BY md5(customer_id || $1) LIMIT 1 FOR UPDATE SKIP LOCKED";
    let sql = match dice % 5 {
        0 => format!(
            "UPDATE batch_scores SET current_limit = current_limit + 0.01 WHERE \
             customer_id = ({victim}) RETURNING customer_id"
        ),
        1 => format!(
            "UPDATE batch_scores SET current_score = current_score + 1 WHERE \
             customer_id = ({victim}) RETURNING customer_id"
        ),
        2 => format!(
            "UPDATE batch_scores SET limit_increase_decision = 'DECLINED',
             decision_reason = 'by hand', updated_at = now()
             WHERE customer_id = ({victim}) RETURNING customer_id"
        ),
        3 => format!(
            "DELETE FROM batch_scores WHERE customer_id = ({victim})
                      RETURNING customer_id"
        ),
        _ => {
            "INSERT INTO batch_scores (customer_id, current_score, current_limit, application_date)
              VALUES ('NEW_' || md5($1), 640, 4000, current_date) ON CONFLICT DO NOTHING
              RETURNING customer_id"
                .to_owned()
        }
    };

    let row = client.query_opt(&sql, &[&dice.to_string()]).await?;
    if let Some(row) = &row {
        injector.note_changed(row.get(0));
    }

    Ok(row.is_some())
}
