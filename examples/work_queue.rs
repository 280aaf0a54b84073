//! Three workers share the messages of a stream, and one of them dies at its work: everything is
//! done all the same.
//!
//! ```text
//! cargo run --example work_queue
//! ```

use std::error::Error;
use std::net::SocketAddr;
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::Duration;

use babelmq::{
    Broker, Config, JsonQueue, QueueError, Start, Storage, StreamDefinition, TopicFilter,
};

const JOBS: u64 = 30;

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::temp_dir().join(format!("babelmq-work-queue-{}", std::process::id()));
    let jobs = StreamDefinition::new("jobs", TopicFilter::parse("jobs/#")?)?;
    let config = Config::listening_on(([127, 0, 0, 1], 0)).streams([jobs]);
    let broker = Broker::start_with(config, Box::new(Storage::open(&folder, true)?))?;
    let address = broker.local_addr();

    // What is pushed reliably is sent again until the broker has it.
    let builder = JsonQueue::builder("jobs/resize").address(address).reliable(true);
    let mut producer = builder.producer()?;
    for job in 1..=JOBS {
        producer.push(&job)?;
    }
    producer.flush()?;

    let (tell, told) = channel();
    let workers: Vec<_> = ["ada", "bob", "eve"]
        .map(|name| {
            let tell = tell.clone();
            thread::spawn(move || work(name, address, &tell))
        })
        .into();
    drop(tell);
    let mut done: Vec<u64> = told.iter().collect();
    for worker in workers {
        worker.join().map_err(|_| "a worker panicked")??;
    }
    done.sort_unstable();
    done.dedup();
    assert_eq!(done, (1..=JOBS).collect::<Vec<_>>());
    println!("all {JOBS} jobs are done");
    broker.close()?;
    Ok(std::fs::remove_dir_all(folder)?)
}

/// Does jobs until none comes for a while; eve dies at her third.
fn work(name: &str, address: SocketAddr, tell: &Sender<u64>) -> Result<(), QueueError> {
    // One at a time: what a worker holds, no other can do.
    let builder = JsonQueue::builder("jobs").address(address).durable("workers");
    let mut queue = builder.start(Start::All).window(1).consumer()?;
    for count in 1.. {
        let job = match queue.pull_message_timeout(Duration::from_secs(1)) {
            Ok(job) => job,
            Err(QueueError::TimedOut) => break,
            Err(error) => return Err(error),
        };
        let attempt = job.origin.as_ref().map_or(1, |origin| origin.attempt);
        if (name, count) == ("eve", 3) {
            println!("{name} dies with job {}", job.value);
            return Ok(());
        }
        // The work; it takes its time.
        thread::sleep(Duration::from_millis(10));
        println!("{name} did job {}, attempt {attempt}", job.value);
        if let Some(number) = job.value.as_i64() {
            let _ = tell.send(number.unsigned_abs());
        }
        job.ack();
    }
    // What was acknowledged last is known to the broker before the connection ends.
    queue.flush()
}
