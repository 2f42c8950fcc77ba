//! The way in to a job.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, Waker},
};

use tokio::io::AsyncWrite;
use tokio_util::sync::WaitForCancellationFutureOwned;

/// A job's stdin. Shutting it down (`AsyncWriteExt::shutdown`) or dropping it ends the job's input.
///
/// When the job has ended, writing fails with [`io::ErrorKind::BrokenPipe`], as it would on a pipe. Docker alone
/// would leave a writer hanging, for a minute and more.
pub struct Stdin {
    inner: Pin<Box<dyn AsyncWrite + Send>>,
    ended: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl Stdin {
    pub(crate) fn new(inner: Pin<Box<dyn AsyncWrite + Send>>, ended: WaitForCancellationFutureOwned) -> Self {
        Self { inner, ended: Box::pin(ended) }
    }

    /// Looks whether the job has ended, and has the task woken when it does.
    fn alive(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        match self.ended.as_mut().poll(context) {
            Poll::Ready(()) => Err(io::ErrorKind::BrokenPipe.into()),
            Poll::Pending => Ok(()),
        }
    }
}

impl AsyncWrite for Stdin {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.alive(context)?;
        self.inner.as_mut().poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.alive(context)?;
        self.inner.as_mut().poll_flush(context)
    }

    /// Ending the input of a job that has ended is fine.
    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.alive(context).is_err() {
            return Poll::Ready(Ok(()));
        }
        self.inner.as_mut().poll_shutdown(context)
    }
}

impl Drop for Stdin {
    /// Docker's connection carries the output too, so it stays open: what ends is one direction of a socket, and that
    /// is done at once.
    fn drop(&mut self) {
        let _ = self.inner.as_mut().poll_shutdown(&mut Context::from_waker(Waker::noop()));
    }
}
