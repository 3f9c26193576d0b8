//! Many windows on one thread; any of them may die.

use anyhow::{Context, Result};
use skein_integration_tests::home::{Helper, Home};
use skein_integration_tests::seed::Seed;
use skein_integration_tests::view::{Kind, Leave, View, Window};
use skein_protocol::ids::TurnId;

use super::{agrees_with_the_kernel, descriptors_at_rest, ends_drained, until_descriptors};

/// Windows at the beginning; every fourth only observes.
const WINDOWS: usize = 20;

/// The remaining windows with their roles.
struct Crowd {
    windows: Vec<(Window, Role)>,
    seed: Seed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Subscriber,
    Observer,
}

impl Crowd {
    /// The first window makes the thread, and runs a turn so that others can find it.
    async fn gather(home: &Home, seed: Seed) -> Result<Self> {
        let mut first = Window::start(Kind::Numbered, home.address()).await?;
        let thread = first.thread();
        let turn = first.start_turn("/tool helper pid").await?;
        first.until("the first turn", |view| view.has_ended(&turn)).await?;
        let mut windows = vec![(first, Role::Subscriber)];
        for number in 1..WINDOWS {
            let kind = if number % 3 == 0 { Kind::Plain } else { Kind::Numbered };
            windows.push(if number % 4 == 0 {
                (Window::observe(kind, home.address(), thread).await?, Role::Observer)
            } else {
                (Window::open(kind, home.address(), thread).await?, Role::Subscriber)
            });
        }
        Ok(Self { windows, seed })
    }

    fn count(&self, role: Role) -> u64 {
        self.windows.iter().filter(|(_, is)| *is == role).count() as u64
    }

    /// Kills `count` windows, without close frames.
    async fn lose(&mut self, count: usize) -> Result<()> {
        for _ in 0..count {
            let at = usize::try_from(self.seed.below(self.windows.len() as u64))?;
            let how = *self.seed.one_of(&[Leave::Drop, Leave::Reset]);
            self.windows.swap_remove(at).0.leave(how).await?;
        }
        Ok(())
    }

    /// Each window receives a few messages, some fewer, some more.
    async fn receive_a_little(&mut self, turn: &TurnId) -> Result<()> {
        for (window, _) in &mut self.windows {
            let count = self.seed.below(20);
            window.receive_some(count, |view| view.has_ended(turn) || view.waits_for_the_user()).await?;
        }
        Ok(())
    }

    async fn until_end(&mut self, turn: &TurnId) -> Result<()> {
        for (window, _) in &mut self.windows {
            let over = |view: &View| view.has_ended(turn) && view.is_at_rest() && view.questions.is_empty();
            window.until("the end of the turn", over).await?;
        }
        Ok(())
    }

    fn subscriber(&mut self) -> Result<&mut Window> {
        let found = self.windows.iter_mut().find(|(_, role)| *role == Role::Subscriber);
        Ok(&mut found.context("a subscriber that is left")?.0)
    }

    fn all_show_the_same(&self) -> Result<()> {
        let (first, _) = &self.windows[0];
        for (number, (other, role)) in self.windows.iter().enumerate() {
            first.view.same_as(&other.view).with_context(|| format!("window {number}, {role:?}"))?;
        }
        Ok(())
    }

    /// Checks the server's counts of subscribers and observers.
    async fn is_counted(&self, home: &Home, control: &mut skein_integration_tests::Client) -> Result<()> {
        let (subscribers, observers) = (self.count(Role::Subscriber), self.count(Role::Observer));
        let status = agrees_with_the_kernel(home, control, subscribers + observers + 1).await?;
        assert_eq!((status.threads.subscriptions, status.threads.observers), (subscribers, observers));
        let thread = self.windows[0].0.thread();
        let loaded = control.loaded_thread(thread).await?.context("the thread is loaded")?;
        assert_eq!((loaded.subscribers, loaded.observers), (subscribers, observers));
        assert_eq!(loaded.helpers, status.helpers.alive);
        Ok(())
    }
}

#[tokio::test]
async fn twenty_windows_that_die_at_random_do_not_disturb_the_others() -> Result<()> {
    let setup = Home::setup().in_files().helper(Helper::named("helper")?).set("durability", "process");
    let home = setup.start().await?;
    let mut control = home.client_at_owner().await?;
    control.status().await?;
    let before = descriptors_at_rest(&home, &mut control).await?;
    let mut crowd = Crowd::gather(&home, Seed::from_environment()).await?;
    crowd.is_counted(&home, &mut control).await?;
    let thread = crowd.windows[0].0.thread();
    let texts =
        ["/stream 300 8 2000", "/ask Which one?", "/tool helper progress {\"steps\":20}", "/ask And now?"];
    for text in texts {
        let turn = crowd.subscriber()?.start_turn(text).await?;
        crowd.receive_a_little(&turn).await?;
        crowd.lose(3).await?;
        if text.starts_with("/ask") {
            let one = crowd.subscriber()?;
            one.until("the question", |view| view.open_question().is_some()).await?;
            one.answer("this one").await?;
        }
        crowd.until_end(&turn).await?;
        crowd.all_show_the_same()?;
        crowd.is_counted(&home, &mut control).await?;
    }
    let read = control.read_thread(thread).await?;
    crowd.windows[0].0.view.same_as_read(&read)?;
    // The last subscribers die while a turn runs: it continues, and the observers see its end.
    let turn = crowd.subscriber()?.start_turn("/stream 300 8 2000").await?;
    let (watching, subscribed): (Vec<_>, Vec<_>) =
        crowd.windows.into_iter().partition(|(_, role)| *role == Role::Observer);
    for (mut window, _) in subscribed {
        window.leave(Leave::Reset).await?;
    }
    crowd.windows = watching;
    crowd.until_end(&turn).await?;
    control.thread_closed(thread).await?;
    let loaded = |status: &skein_protocol::extension::SkeinStatusResponse| status.threads.loaded == 0;
    control.until_status("observers keep nothing loaded", loaded).await?;
    crowd.lose(crowd.windows.len()).await?;
    ends_drained(&home, &mut control).await?;
    until_descriptors(&home, before).await?;
    home.finish().await
}
