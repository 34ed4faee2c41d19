//! A PostgreSQL that speaks TLS, with certificates that the test makes.
//!
//! The embedded server of a local environment was built without TLS. This one comes from the Python
//! environment `postgres-tls`, and the same script starts it.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use limit_increase::local::Project;
use limit_increase::local::python;
use limit_increase_database::DatabaseUrl;
use limit_increase_database::connect;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd,
};
use serde_json::Value;
use tokio::runtime::Runtime;
use tokio_postgres::Client;

/// A certificate authority.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    /// Makes an authority that no client trusts yet.
    ///
    /// # Errors
    /// When no key can be made.
    pub fn new(name: &str) -> Result<Self> {
        let mut parameters = CertificateParams::new(Vec::<String>::new())?;
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        parameters.distinguished_name.push(DnType::CommonName, name);
        Ok(Self(CertifiedIssuer::self_signed(parameters, KeyPair::generate()?)?))
    }

    /// Its own certificate, in PEM.
    #[must_use]
    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// Issues a server's certificate for these names, valid until 1 January of `last_year`. Returns
    /// it and its key, both in PEM.
    ///
    /// # Errors
    /// When no key can be made, or a name is invalid.
    pub fn issue(&self, names: &[&str], last_year: i32) -> Result<(String, String)> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut parameters = CertificateParams::new(names)?;
        parameters.not_before = date_time_ymd(2020, 1, 1);
        parameters.not_after = date_time_ymd(last_year, 1, 1);
        let key = KeyPair::generate()?;
        let certificate = parameters.signed_by(&key, &self.0)?;
        Ok((certificate.pem(), key.serialize_pem()))
    }
}

/// The server; stopped and removed when dropped.
pub struct TlsPostgres {
    project: Project,
    package: &'static str,
    root: PathBuf,
    port: u16,
    runtime: Runtime,
    admin: Client,
}

impl TlsPostgres {
    /// Starts a server on a free port, in a directory of its own. TLS is off.
    ///
    /// # Errors
    /// When its Python environment cannot be made or it does not start.
    pub fn start(name: &str) -> Result<Self> {
        Self::start_from("postgres-tls", None, name)
    }

    /// Starts the server of another Python environment, which may not speak TLS, or the server in
    /// the directory `folder`.
    ///
    /// # Errors
    /// As [`TlsPostgres::start`].
    pub fn start_from(package: &'static str, folder: Option<&str>, name: &str) -> Result<Self> {
        let project = Project::discover()?;
        let installed = Command::new(python::find()?)
            .arg(project.root().join("deploy/localstack/install.py"))
            .arg(package)
            .stdin(Stdio::null())
            .status()?;
        ensure!(installed.success(), "the Python environment {package} cannot be made");

        let root = crate::environment::home(name);
        script(&project, package, &root, &["remove"])?;
        let (port, answer) = start_on_a_free_port(&project, package, folder, &root)?;
        let url = answer["url"].as_str().context("postgres.py did not print a URL")?.to_owned();
        let runtime = Runtime::new()?;
        let admin = runtime.block_on(connect(&DatabaseUrl::new(url)))?;
        Ok(Self { project, package, root, port, runtime, admin })
    }

    /// Runs a future to its end.
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.runtime.block_on(future)
    }

    /// The administrator's connection, in plain text.
    #[must_use]
    pub const fn admin(&self) -> &Client {
        &self.admin
    }

    /// The server's port.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Writes a file that this process can read, and gives its path.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn file(&self, name: &str, content: &str) -> Result<String> {
        let path = self.root.join(name);
        std::fs::write(&path, content)?;
        Ok(path.display().to_string())
    }

    /// Turns TLS on with this certificate and key, or off without them.
    ///
    /// # Errors
    /// When the server refuses them.
    pub fn serve(&self, certificate: Option<(String, String)>) -> Result<()> {
        let Some((certificate, key)) = certificate else { return self.set("ssl", "off") };
        self.own("server.crt", &certificate)?;
        self.own("server.key", &key)?;
        self.set("ssl", "on")
    }

    /// Inserts these lines at the beginning of `pg_hba.conf`.
    ///
    /// # Errors
    /// When the server refuses them.
    pub fn admit(&self, lines: &str) -> Result<()> {
        let path = self.data()?.join("pg_hba.conf");
        let old = std::fs::read_to_string(&path)?;
        std::fs::write(&path, format!("{lines}\n{old}"))?;
        self.reload()
    }

    fn set(&self, name: &str, value: &str) -> Result<()> {
        self.block_on(self.admin.batch_execute(&format!("ALTER SYSTEM SET {name} = {value}")))?;
        self.reload()
    }

    /// Reloads the settings, and waits until the server has read them. A new connection gets them
    /// from the postmaster.
    fn reload(&self) -> Result<()> {
        let before: String = self.loaded_at()?;
        self.block_on(self.admin.batch_execute("SELECT pg_reload_conf()"))?;
        for _ in 0..500 {
            if self.loaded_at()? != before {
                return Ok(());
            }

            std::thread::sleep(std::time::Duration::from_millis(20));
        }

        anyhow::bail!(
            "PostgreSQL does not read its configuration again; see {}",
            self.root.join("log").display()
        )
    }

    fn loaded_at(&self) -> Result<String> {
        Ok(self.block_on(self.admin.query_one("SELECT pg_conf_load_time()::text", &[]))?.get(0))
    }

    /// The data directory. It is elsewhere if the server's user cannot enter the one that was asked
    /// for.
    fn data(&self) -> Result<PathBuf> {
        let row = self.block_on(self.admin.query_one("SHOW data_directory", &[]))?;
        Ok(PathBuf::from(row.get::<_, String>(0)))
    }

    /// Writes a file for the server, which accepts a key only if nobody else can read it.
    fn own(&self, name: &str, content: &str) -> Result<()> {
        use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
        let data = self.data()?;
        let path = data.join(name);
        std::fs::write(&path, content)?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
        let owner = data.metadata()?;
        if path.metadata()?.uid() != owner.uid() {
            chown(&path, Some(owner.uid()), Some(owner.gid()))?;
        }

        Ok(())
    }
}

impl Drop for TlsPostgres {
    fn drop(&mut self) {
        if let Err(error) = script(&self.project, self.package, &self.root, &["remove"]) {
            eprintln!("cannot stop the PostgreSQL of {}: {error:?}", self.root.display());
        }

        let _ = std::fs::remove_dir_all(&self.root);
    }
}

/// Starts the server, and returns its port and what the script says. Another program can take a port
/// between the moment when it was found free and the moment when the server binds it, so there are
/// some attempts.
fn start_on_a_free_port(
    project: &Project,
    package: &str,
    folder: Option<&str>,
    root: &Path,
) -> Result<(u16, Value)> {
    let mut attempts = 0;
    loop {
        let port = std::net::TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
        let text = port.to_string();
        let mut arguments = vec!["start", "--port", &text];
        arguments.extend(folder.iter().flat_map(|folder| ["--folder", folder]));
        attempts += 1;
        match script(project, package, root, &arguments) {
            Err(error) if attempts < 3 => eprintln!("PostgreSQL is started again: {error:?}"),
            answer => return Ok((port, answer?)),
        }
    }
}

fn script(project: &Project, package: &str, root: &Path, arguments: &[&str]) -> Result<Value> {
    let mut command = Command::new(project.venvs().join(package).join("bin/python"));
    command.arg(project.root().join("deploy/localstack/postgres.py")).args(arguments);
    command.arg("--data").arg(root.join("data"));
    if arguments[0] == "start" {
        command.arg("--log").arg(root.join("log"));
    }

    let output = command.stdin(Stdio::null()).output()?;
    ensure!(
        output.status.success(),
        "postgres.py {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );

    Ok(serde_json::from_slice(&output.stdout).unwrap_or_default())
}
