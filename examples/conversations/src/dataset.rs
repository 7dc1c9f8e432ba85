//! A believable data set: the same people and messages every time.

use std::collections::HashMap;

use fastrand::Rng;

use crate::created_at::CreatedAt;
use crate::group::{GroupId, uuid_of};
use crate::message::Message;
use crate::user::User;

/// Display names and handles.
const PEOPLE: [(&str, &str); 12] = [
    ("Ada Okafor", "ada"),
    ("Grace Lindqvist", "grace"),
    ("Łukasz Nowak", "lukasz"),
    ("Mei Tanaka 美衣", "mei"),
    ("Tomás Herrera", "tomas"),
    ("Noor Rahman", "noor"),
    ("Jonas Weber", "jonas"),
    ("Priya Raman", "priya"),
    ("Sam O’Neill", "sam"),
    ("Zeynep Aydın", "zeynep"),
    ("Kofi Mensah", "kofi"),
    ("Inés Duarte", "ines"),
];

/// What two people write to each other in turns.
const DIALOGUES: [&[&str]; 10] = [
    &[
        "Are you awake? I got the results back this morning.",
        "I am. And?",
        "All clear. The doctor says the next check is in a year.",
        "Oh, that is the best news of the week. Dinner tonight?",
        "Yes please. Eight?",
        "Eight. I’ll cook, you bring nothing.",
    ],
    &[
        "Did the landlord ever answer you about the deposit?",
        "He did. He wants my account number by mail. I’d rather not.",
        "Don’t. Send it here and I’ll hand it to him in person tomorrow.",
        "DE02 1203 0000 0000 2020 51. Thank you!",
        "Got it. I’ll tell you when it’s done.",
    ],
    &[
        "The 7:30 is cancelled, of course.",
        "Take the 7:52 from platform 4, it stops in the old town.",
        "You are a timetable with legs.",
        "Somebody has to be.",
    ],
    &[
        "Can you keep something to yourself until Friday?",
        "You know I can.",
        "I’ve handed in my notice. I start at the clinic in April.",
        "Finally! I’m so glad for you. Not a word from me.",
        "Thank you. I wanted you to know first.",
        "🎉",
    ],
    &[
        "Which one was the good bakery, the one behind the station?",
        "Left of the bridge. Go before nine or the seeded loaf is gone.",
        "It’s 8:40. Running.",
    ],
    &[
        "How is your father?",
        "Better. He complained about the food today, so he is himself again.",
        "Tell him the garden survives and the tomatoes ask for him.",
        "He laughed. He says: water them in the morning, not at night.",
        "Morning it is.",
    ],
    &[
        "I can’t find the key to the cellar.",
        "Third hook, behind the coats.",
        "That’s the bicycle’s.",
        "Then it’s in my pocket, 400 km from you. Sorry!",
        "Bring it on Sunday, the boxes can wait.",
    ],
    &[
        "Your talk was the best of the afternoon. Really.",
        "My hands were shaking the whole time.",
        "Nobody saw. They asked for the slides, all of them.",
        "I’ll send them tonight, once I’ve mended the graph on page 12.",
    ],
    &[
        "映画、土曜日でいい?",
        "Saturday works. The late one?",
        "The late one. I’ll get the tickets, row G.",
        "You’re the best. I owe you two now.",
    ],
    &[
        "Quick question about the tax form: line 31 is what I think it is?",
        "If you think it’s the part nobody understands, yes.",
        "Helpful.",
        "Put last year’s figure there, 18,240, and add a note. They accepted it twice.",
        "You have saved my evening.",
    ],
];

/// 2026-01-05T07:30:00Z in microseconds.
const FIRST: u64 = 1_767_598_200_000_000;
const SECOND: u64 = 1_000_000;
const MINUTE: u64 = 60 * SECOND;

/// The users of the data set. A handle has the same UUID every time.
#[must_use]
pub fn people() -> Vec<User> {
    let person = |(name, handle): &(&str, &str)| {
        let id = uuid_of(handle.as_bytes()).into();
        User::new(id, *name, *handle).expect("the names are allowed")
    };
    PEOPLE.iter().map(person).collect()
}

/// So many messages, in the order in which they were sent. Every pair of people may have a
/// conversation; the first people have the most.
#[must_use]
pub fn messages(count: usize) -> Vec<Message> {
    let people = people();
    let mut random = Rng::with_seed(2026);
    let (mut now, mut ends) = (FIRST, HashMap::new());
    let mut messages = Vec::new();
    while messages.len() < count {
        let (one, other) = pair(&people, &mut random);
        let group = GroupId::between(one.id(), other.id());
        now += random.u64(2..90) * MINUTE;
        let begin = ends.get(&group).map_or(now, |end| now.max(end + MINUTE));
        let dialogue = random.choice(DIALOGUES).expect("there are ten");
        ends.insert(group, talk(one, other, dialogue, begin, &mut random, &mut messages));
    }
    messages.sort_by(|a, b| a.created_at().cmp(b.created_at()));
    messages.truncate(count);
    messages
}

/// Two people, of whom the one is more often among the first.
fn pair<'a>(people: &'a [User], random: &mut Rng) -> (&'a User, &'a User) {
    let one = random.usize(..people.len()).min(random.usize(..people.len()));
    let other = (one + random.usize(1..people.len())) % people.len();
    (&people[one], &people[other])
}

/// Adds a dialogue, and returns when it ends.
fn talk(
    one: &User,
    other: &User,
    dialogue: &[&str],
    begin: u64,
    random: &mut Rng,
    messages: &mut Vec<Message>,
) -> u64 {
    let mut time = begin;
    for (turn, text) in dialogue.iter().enumerate() {
        let (sender, recipient) = if turn % 2 == 0 { (one, other) } else { (other, one) };
        time += random.u64(4 * SECOND..3 * MINUTE);
        let created_at = CreatedAt::new(time, u16::from(sender.id() > recipient.id()));
        let message = Message::new(sender.clone(), recipient.clone(), created_at, *text);
        messages.push(message.expect("two people and a short text"));
    }
    time
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn the_data_set_is_the_same_every_time() {
        let all = messages(500);
        assert_eq!(all.len(), 500);
        assert!(all == messages(500));
        assert!(all.is_sorted_by(|a, b| a.created_at() <= b.created_at()));
    }

    #[test]
    fn no_two_messages_have_one_key() {
        let all = messages(2000);
        let keys: HashSet<_> = all.iter().map(|one| (one.group(), one.created_at())).collect();
        assert_eq!(keys.len(), all.len());
    }

    #[test]
    fn people_have_names_and_handles_of_their_own() {
        let people = people();
        let of = |user: &User| (user.id(), user.handle().to_owned());
        assert_eq!(people.iter().map(of).collect::<HashSet<_>>().len(), 12);
    }
}
