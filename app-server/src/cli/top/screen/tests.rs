use std::str::FromStr;

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use skein_protocol::extension::{HelperIsolation, HelperProcess, HelperState, LoadedThread};
use skein_protocol::thread::ThreadStatus;

use super::*;

const IDS: [&str; 3] = [
    "019a0000-0000-7000-8000-000000000001",
    "019a0000-0000-7000-8000-000000000002",
    "019a0000-0000-7000-8000-000000000003",
];

fn id(at: usize) -> ThreadId {
    ThreadId::from_str(IDS[at]).unwrap()
}

fn helper(name: &str, thread: ThreadId) -> HelperDetail {
    let process = HelperProcess { pid: 7, parent: 1, name: "server".to_owned(), memory_bytes: 3 << 20 };
    HelperDetail {
        thread_id: Some(thread),
        thread_ids: vec![thread],
        isolation: HelperIsolation::Thread,
        quarantined: false,
        name: name.to_owned(),
        state: HelperState::Ready,
        reason: None,
        protocol_version: None,
        pid: Some(7),
        processes: vec![process],
        memory_bytes: 3 << 20,
        queued: 0,
        waiting: 0,
        waits_for_others: false,
        stderr: "\u{1b}]0;title\u{7} said".to_owned(),
    }
}

fn thread(at: usize, name: &str, state: LoadedState) -> ThreadFigures {
    let thread = LoadedThread {
        server: None,
        thread_id: id(at),
        state,
        status: ThreadStatus::Idle,
        subscribers: 2,
        observers: 0,
        helpers: 1,
        ephemeral: false,
        materialised: true,
    };
    ThreadFigures { name: name.to_owned(), thread, helpers: vec![helper(&format!("files{at}"), id(at))] }
}

fn figures(threads: Vec<ThreadFigures>) -> Figures {
    let server = "Process 1 has served /home for 2 min 3 s.".to_owned();
    Figures { server, memory: 20 << 20, connections: 1, questions: 2, threads, unused: Vec::new() }
}

fn three() -> Figures {
    figures(vec![
        thread(0, "read the mail", LoadedState::Idle),
        thread(1, "\u{1b}]0;evil\u{7}", LoadedState::Running),
        thread(2, "write a letter", LoadedState::Unloading),
    ])
}

fn drawn(screen: &Screen) -> String {
    drawn_in(screen, 110)
}

fn drawn_in(screen: &Screen, columns: u16) -> String {
    let mut terminal = Terminal::new(TestBackend::new(columns, 20)).unwrap();
    terminal.draw(|frame| screen.draw(frame)).unwrap();
    terminal.backend().to_string()
}

fn press(screen: &mut Screen, keys: &[KeyCode]) -> Vec<KeyEffect> {
    keys.iter().map(|key| screen.press(*key, KeyModifiers::NONE)).collect()
}

#[test]
fn the_screen_has_each_thread_and_the_helpers_of_the_chosen_one() {
    let mut screen = Screen::of(three());
    let shown = drawn(&screen);
    for expected in [
        "Process 1 has served /home",
        "20.0 MiB of memory, helpers 9.0 MiB; 1 connection, 2 questions for the user",
        "019a0000-0000-7000-8000-000000000001 idle      2       1         3.0 MiB    read the mail",
        "running",
        "unloading",
        "files0  ready: 1 processes, 3072 KiB",
        "q quit",
    ] {
        assert!(shown.contains(expected), "{expected:?} is not in\n{shown}");
    }
    assert!(!shown.contains("files1"), "{shown}");
    press(&mut screen, &[KeyCode::Down]);
    assert!(drawn(&screen).contains("files1"));
    let narrow = drawn_in(&screen, 70);
    assert!(
        narrow.contains("019a0000-0000 idle      2       1         3.0 MiB    read the mail"),
        "{narrow}"
    );
}

#[test]
fn names_and_errors_of_others_control_no_terminal() {
    let shown = drawn(&Screen::of(three()));
    assert!(!shown.contains(['\u{1b}', '\u{7}']), "{shown:?}");
    assert!(
        shown.contains(r"\u001b]0;evil\u0007") && shown.contains(r"| \u001b]0;title\u0007 said"),
        "{shown}"
    );
}

#[test]
fn a_key_unloads_the_chosen_thread_and_force_is_confirmed() {
    let mut screen = Screen::of(three());
    let unload = |at, force| KeyEffect::Unload { thread: id(at), force };
    assert_eq!(press(&mut screen, &[KeyCode::Char('k')]), [unload(0, false)]);
    let force = KeyCode::Char('K');
    assert_eq!(
        press(&mut screen, &[KeyCode::Down, force, KeyCode::Char('n')]),
        [KeyEffect::Stay, KeyEffect::Stay, KeyEffect::Stay]
    );
    assert_eq!(press(&mut screen, &[force, KeyCode::Char('y')]), [KeyEffect::Stay, unload(1, true)]);
    screen.say("it is unloaded".to_owned());
    assert!(drawn(&screen).contains("it is unloaded"));
    assert_eq!(screen.press(KeyCode::Char('c'), KeyModifiers::CONTROL), KeyEffect::Quit);
}

#[test]
fn a_choice_stays_with_its_thread_and_goes_on_when_that_leaves() {
    let mut screen = Screen::of(three());
    press(&mut screen, &[KeyCode::Down, KeyCode::Down]);
    screen.take(figures(vec![
        thread(2, "write a letter", LoadedState::Idle),
        thread(0, "x", LoadedState::Idle),
    ]));
    assert_eq!(screen.chosen, Some(id(2)));
    screen.take(figures(vec![thread(0, "x", LoadedState::Idle)]));
    assert_eq!(screen.chosen, Some(id(0)));
    screen.take(figures(Vec::new()));
    assert_eq!(screen.chosen, None);
    assert_eq!(
        press(&mut screen, &[KeyCode::Char('k'), KeyCode::Down, KeyCode::Up]),
        [KeyEffect::Stay, KeyEffect::Stay, KeyEffect::Stay]
    );
    assert!(drawn(&screen).contains("No thread is loaded."));
}

#[test]
fn a_filter_finds_names_ids_and_helpers() {
    for (words, found) in [("LETTER", vec![2]), ("000002", vec![1]), ("files0", vec![0]), ("nothing", vec![])]
    {
        let mut screen = Screen::of(three());
        let letters: Vec<KeyCode> = words.chars().map(KeyCode::Char).collect();
        press(&mut screen, &[KeyCode::Char('/')]);
        // Its letters are no commands.
        assert!(press(&mut screen, &letters).iter().all(|step| *step == KeyEffect::Stay));
        let shown: Vec<ThreadId> = screen.shown().iter().map(|row| row.thread.thread_id).collect();
        assert_eq!(shown, found.iter().map(|at| id(*at)).collect::<Vec<_>>(), "{words}");
        assert_eq!(screen.chosen, shown.first().copied());
        press(&mut screen, &[KeyCode::Esc]);
        assert_eq!(screen.shown().len(), 3);
    }
}
