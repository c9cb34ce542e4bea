//! What a component does that means harm: without end, too much, or to somebody else.

use std::{
    future::Future,
    hint::black_box,
    pin::{Pin, pin},
    sync::atomic::{AtomicU64, Ordering},
    task::Poll,
};

use crate::{
    answer,
    bindings::{
        twinbox::sync::{
            clock,
            http::{self, Credential, Request, Response},
            log, storage,
            types::Field,
        },
        wit_stream,
    },
    get,
};

pub(crate) fn spin() -> String {
    let mut turns = 0_u64;
    loop {
        turns = black_box(turns.wrapping_add(1));
        if turns == 0 {
            return "it ended".into();
        }
    }
}

pub(crate) fn allocate() -> String {
    let mut all = Vec::new();
    loop {
        all.push(black_box(vec![1_u8; 1 << 20]));
    }
}

/// Uses the engine's stack alone: nothing here has an address.
#[inline(never)]
#[expect(unconditional_recursion, reason = "told to")]
pub(crate) fn recurse(depth: u64) -> u64 {
    static DEPTH: AtomicU64 = AtomicU64::new(0);
    DEPTH.store(depth, Ordering::Relaxed);
    recurse(depth + 1).rotate_left(3) ^ DEPTH.load(Ordering::Relaxed)
}

/// Uses the stack inside linear memory.
#[expect(unconditional_recursion, reason = "told to")]
pub(crate) fn recurse_with_buffers(depth: u64) -> u64 {
    let mut buffer = [0_u8; 1024];
    black_box(&mut buffer);
    recurse_with_buffers(black_box(depth + 1)) + u64::from(buffer[0])
}

/// Writes to an address in the middle of nowhere.
pub(crate) fn stray() -> String {
    let mut held = [0_u8; 16];
    black_box(&mut held);
    let nowhere = black_box(0x7000_0000_usize) as *mut u8;
    #[allow(unsafe_code, reason = "told to")]
    unsafe {
        nowhere.write_volatile(held[0]);
    }
    "nothing happened".into()
}

pub(crate) fn log_flood(lines: usize, bytes: usize) -> String {
    let line = "x".repeat(bytes);
    for _ in 0..lines {
        log::write(log::Level::Info, &line, &[]);
    }
    "logged".into()
}

/// Asks the host the time without end: nearly all of the pass is spent in the host.
pub(crate) fn ask_the_time() -> String {
    while clock::now() > 0 {}
    "before time".into()
}

/// Reads a key without end; the host answers at once each time.
pub(crate) async fn read_without_end(key: &str) -> String {
    loop {
        if let Err(error) = storage::get(vec![key.into()]).await {
            return format!("{error:?}");
        }
    }
}

pub(crate) fn hoard_streams() -> String {
    let mut all = Vec::new();
    loop {
        all.push(wit_stream::new::<u8>());
    }
}

/// Begins waits without end and looks at each once.
pub(crate) async fn hoard_waits() -> String {
    let mut all: Vec<Pin<Box<dyn Future<Output = ()>>>> = Vec::new();
    loop {
        let mut wait: Pin<Box<dyn Future<Output = ()>>> = Box::pin(clock::sleep(u64::MAX / 2));
        look(wait.as_mut()).await;
        all.push(wait);
    }
}

/// Begins so many requests at the same time, and waits for none of them.
pub(crate) async fn hoard_requests(count: usize, url: &str) -> String {
    let mut all = Vec::new();
    for _ in 0..count {
        let mut sending = Box::pin(http::send(get(url)));
        if let Some(result) = look(sending.as_mut()).await {
            return format!("{} begun, then {}", all.len(), answer(result));
        }
        all.push(sending);
    }
    clock::sleep(u64::MAX / 2).await;
    format!("{} begun", all.len())
}

/// Begins a request, looks once, and walks away.
pub(crate) async fn abandon(url: &str) -> String {
    look(pin!(http::send(get(url)))).await;
    "walked away".into()
}

pub(crate) async fn requests(count: usize, credential: Credential, url: &str) -> String {
    for turn in 0..count {
        let request = Request {
            credential,
            ..get(url)
        };
        if let Err(failure) = http::send(request).await {
            return format!("{turn}: {failure:?}");
        }
    }
    format!("{count} answered")
}

/// Follows a redirect to wherever it leads, as a client does that trusts its server.
pub(crate) async fn follow(url: &str) -> String {
    match http::send(get(url)).await {
        Ok(Response {
            status: 300..=399,
            headers,
            ..
        }) => {
            let location = headers.iter().find(|field| field.name == "location");
            match location {
                Some(Field { value, .. }) => answer(http::send(get(value)).await),
                None => "a redirect to nowhere".into(),
            }
        }
        other => answer(other),
    }
}

/// A header field whose name and value are given in hexadecimal, since commands are split at white space.
pub(crate) async fn forge(name: &[u8], value: &[u8], url: &str) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let headers = vec![Field {
        name: text(name),
        value: text(value),
    }];
    answer(http::send(Request { headers, ..get(url) }).await)
}

/// One look at a future; its result, if there already is one.
async fn look<F: Future + ?Sized>(mut future: Pin<&mut F>) -> Option<F::Output> {
    std::future::poll_fn(|context| match future.as_mut().poll(context) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}
