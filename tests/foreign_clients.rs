//! What others have built on Redis: caches, sessions, locks. Each script in tests/foreign/ uses one such library as its
//! users do. The gate installs the libraries to target/clients; whichever is missing is skipped, and said to be.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;

use crate::common::Cluster;

/// Where the gate installs packages.
fn clients() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target/clients")
}

/// A command of this language's interpreter, which finds the packages that the gate has installed.
fn interpreter(language: &str) -> Command {
    let mut command = Command::new(language);
    command.env("PYTHONPATH", clients().join("python")).env("PYTHONDONTWRITEBYTECODE", "1");
    command.env("NODE_PATH", clients().join("node/node_modules")).stdin(Stdio::null());
    command
}

/// Runs a script against a node of its own. It must end well, and say `done` at its end.
fn run(script: &str, packages: &[&str]) {
    let (language, import) = match script.ends_with(".py") {
        true => ("python3", format!("import {}", packages.join(", "))),
        false => ("node", packages.iter().map(|package| format!("require.resolve('{package}');")).collect()),
    };
    let flag = if language == "node" { "-e" } else { "-c" };
    let can = interpreter(language).args([flag, &import]).stderr(Stdio::null()).status();
    if !can.is_ok_and(|status| status.success()) {
        println!("skipped: `{language} {flag} \"{import}\"` fails here");
        return;
    }
    let cluster = Cluster::start(2);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/foreign").join(script);
    let output = interpreter(language).arg(path).arg(cluster.address(1).port().to_string()).output();
    let output = output.expect("it ran just now");
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("done"), "{script}: {}\n{said}", output.status);
    cluster.wait_until_it_agrees();
}

#[test]
fn redis_py_has_pipelines_that_are_transactions_and_locks() {
    run("pipelines_and_locks.py", &["redis"]);
}

#[test]
fn django_caches_and_keeps_sessions() {
    run("django_cache.py", &["django", "django_redis"]);
}

#[test]
fn flask_session_keeps_sessions() {
    run("flask_sessions.py", &["flask", "flask_session"]);
}

#[test]
fn flask_caching_caches() {
    run("flask_cache.py", &["flask", "flask_caching", "redis"]);
}

#[test]
fn ioredis_has_transactions() {
    run("ioredis.mjs", &["ioredis"]);
}

#[test]
fn node_redis_has_transactions() {
    run("node_redis.mjs", &["redis"]);
}

#[test]
fn connect_redis_keeps_sessions() {
    run("express_sessions.mjs", &["redis", "connect-redis"]);
}

#[test]
fn keyv_caches() {
    run("keyv.mjs", &["keyv", "@keyv/redis"]);
}

#[test]
fn the_redis_crate_has_transactions() {
    let cluster = Cluster::start(2);
    let url = format!("redis://{}/", cluster.address(1));
    let connect = || redis::Client::open(&*url).and_then(|client| client.get_connection()).expect("the node serves");
    let mut connection = connect();
    let set_and_get = redis::pipe().atomic().set("k", 1).ignore().get("k").query(&mut connection);
    assert_eq!(set_and_get, Ok((1,)));
    assert!(redis::pipe().atomic().set("never", 1).cmd("FROB").query::<()>(&mut connection).is_err());
    assert_eq!(redis::cmd("EXISTS").arg("never").query(&mut connection), Ok(0));
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut connection = connect();
                for _ in 0..50 {
                    redis::transaction(&mut connection, &["k"], |connection, pipe| {
                        let count: i64 = redis::cmd("GET").arg("k").query(connection)?;
                        pipe.set("k", count + 1).query::<Option<()>>(connection)
                    })
                    .expect("it is tried until nothing comes between");
                }
            });
        }
    });
    assert_eq!(redis::cmd("GET").arg("k").query(&mut connection), Ok(201));
    cluster.wait_until_it_agrees();
}
