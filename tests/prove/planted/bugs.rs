//! The bugs that can be put back: what each does, and the proof that must find it. Where each is planted, `src/` says:
//! `planted::is("NAME")`.

/// A bug that can be put back.
pub(super) struct Bug {
    /// As `src/` asks for it.
    pub(super) name: &'static str,
    /// What midwatch does then.
    pub(super) does: &'static str,
    /// The proof that must turn red; how it is run, [`TRIALS`] says.
    pub(super) proof: &'static str,
    /// What the proof then says: one of these. Red for another reason is no finding.
    pub(super) says: &'static [&'static str],
}

/// How a proof is run, with a bug and without one: as few rounds as surely show its bugs.
pub(super) struct Trial {
    pub(super) proof: &'static str,
    pub(super) rounds: u32,
    pub(super) seed: u64,
}

const fn trial(proof: &'static str, rounds: u32, seed: u64) -> Trial {
    Trial {
        proof,
        rounds,
        seed,
    }
}

/// Those that depend most on time first, those that only need the processor last: two lanes begin at both ends.
pub(super) const TRIALS: &[Trial] = &[
    trial("dbdown", 1, 0),
    trial("storm429", 2, 7),
    trial("reconnect", 30, 7),
    trial("kill9", 2, 7),
    trial("gap", 1, 7),
    trial("iofail", 3, 7),
    trial("clock", 40, 7),
    trial("hostileout", 4, 7),
    trial("canary", 2, 7),
    trial("malformed", 400, 7),
    trial("forge", 150, 7),
    trial("tamper", 1, 7),
    trial("argv", 46, 7),
    trial("ssrf", 180, 7),
    trial("approve", 150, 7),
    trial("policy", 4_000, 7),
    trial("may", 2_000, 7),
    trial("sim", 401, 0),
];

pub(super) const BUGS: &[Bug] = &[
    // Replicas, leases, failover.
    Bug {
        name: "fence-unchecked",
        does: "Who lost a lease goes on changing its run.",
        proof: "sim",
        says: &["the run after an event differs", "whether the lease was"],
    },
    Bug {
        name: "lease-in-seconds",
        does: "Seconds are taken for milliseconds: a lease ends a thousand times too early.",
        proof: "sim",
        says: &["the claimed run differs"],
    },
    // The database and the disk fail.
    Bug {
        name: "unkept-acknowledged",
        does: "What the store did not take is acknowledged all the same.",
        proof: "dbdown",
        says: &["after the return, seed"],
    },
    Bug {
        name: "always-ready",
        does: "`/readyz` says yes whatever its checks found.",
        proof: "dbdown",
        says: &["without its database it is not ready"],
    },
    Bug {
        name: "failed-commit-answered",
        does: "A group is answered as if it were committed when its commit failed.",
        proof: "iofail",
        says: &[
            "while nothing can be written it answered Taken",
            "a row that is always there is missing",
        ],
    },
    Bug {
        name: "disk-fault-unsaid",
        does: "A full disk is told as any other trouble of the database.",
        proof: "iofail",
        says: &["it only said", "/readyz says"],
    },
    Bug {
        name: "failure-kept",
        does: "An intention that failed half-way is not rolled back to its savepoint.",
        proof: "sim",
        says: &["differs"],
    },
    // Crashes.
    Bug {
        name: "supervisor-forgotten",
        does: "After a restart nobody looks for the living supervisor of a step, or its result.",
        proof: "kill9",
        says: &["was interrupted, nobody killed its supervisor"],
    },
    Bug {
        name: "once-repeated",
        does: "An interrupted `once` step is started again.",
        proof: "sim",
        says: &["a `once` step is started"],
    },
    Bug {
        name: "doubt-frees-the-lock",
        does: "A run whose outcome is unknown no longer holds its target's lock.",
        proof: "sim",
        says: &["two runs share a target"],
    },
    Bug {
        name: "delivery-stuck",
        does: "A delivery that a crash cut off stays under way for ever.",
        proof: "sim",
        says: &["what is due to be told differs"],
    },
    // Permission and age.
    Bug {
        name: "own-consent-counts",
        does: "The requester's own consent counts.",
        proof: "sim",
        says: &["what is recorded differs", "may not do this"],
    },
    Bug {
        name: "consent-to-another-plan",
        does: "Consent to what was shown is taken for consent to what would be done now.",
        proof: "approve",
        says: &["it starts without consent"],
    },
    Bug {
        name: "glass-opens-locks",
        does: "Whoever breaks the glass isn't held by somebody else's lock.",
        proof: "policy",
        says: &["the oracle says"],
    },
    Bug {
        name: "may-forgets-the-facts",
        does: "Whoever asks `may` is told what the rules say, and not what is locked, running or just done.",
        proof: "may",
        says: &["typed it: it is"],
    },
    Bug {
        name: "age-backwards",
        does: "The age of a command is compared the wrong way: nothing is ever late.",
        proof: "gap",
        says: &["concluded [Run] and not Held(\"late\")"],
    },
    Bug {
        name: "history-has-keys-of-its-own",
        does: "A message read from the history has another key than its event.",
        proof: "gap",
        says: &["was received, and nobody typed it", "and not Run"],
    },
    // Clocks.
    Bug {
        name: "timer-by-the-second",
        does: "Consent runs out up to a second early.",
        proof: "clock",
        says: &["consent until"],
    },
    Bug {
        name: "end-of-time-forgotten",
        does: "A span is added to a moment without looking at the end of time.",
        proof: "clock",
        says: &["overflowed"],
    },
    Bug {
        name: "due-by-the-clock",
        does: "What is due at once is due at a moment: a clock that goes back holds it up.",
        proof: "sim",
        says: &["the claimed run differs"],
    },
    // Talking to Slack.
    Bug {
        name: "retry-after-ignored",
        does: "Slack is called before the time is over that it asked us to wait.",
        proof: "storm429",
        says: &["before Retry-After had passed"],
    },
    Bug {
        name: "order-lost",
        does: "Lines that are owed together are delivered in the wrong order.",
        proof: "sim",
        says: &["what is due to be told differs"],
    },
    // Listening to Slack.
    Bug {
        name: "window-missing",
        does: "A signature may be as old as it likes.",
        proof: "forge",
        says: &["was answered 200"],
    },
    Bug {
        name: "signature-begun",
        does: "The beginning of a signature is enough.",
        proof: "forge",
        says: &["was answered 200"],
    },
    Bug {
        name: "signature-told",
        does: "The log says which signature would have been right.",
        proof: "forge",
        says: &["hold what would have been right"],
    },
    Bug {
        name: "replay-is-new",
        does: "A slash command's identity is the moment at which it came in.",
        proof: "forge",
        says: &["said genuinely"],
    },
    Bug {
        name: "text-sliced",
        does: "A timestamp is cut at fixed bytes, whatever it holds.",
        proof: "malformed",
        says: &["no answer to mutant", "was not acknowledged"],
    },
    Bug {
        name: "unreadable-is-500",
        does: "What can't be read is answered with 500.",
        proof: "malformed",
        says: &["was answered 500"],
    },
    Bug {
        name: "ruins-unacknowledged",
        does: "An envelope that can't be read is not acknowledged: Slack sends it for ever.",
        proof: "malformed",
        says: &["was not acknowledged"],
    },
    // Listening to Discord.
    Bug {
        name: "discord-window-missing",
        does: "A signature of Discord's may be as old as it likes.",
        proof: "forge",
        says: &["was answered 200"],
    },
    Bug {
        name: "discord-token-told",
        does: "The log tells what an interaction holds, the token too by which one answers it.",
        proof: "forge",
        says: &["tell what only Discord may know"],
    },
    Bug {
        name: "discord-replay-is-new",
        does: "An interaction's identity is the moment at which it came in.",
        proof: "forge",
        says: &["Discord: said genuinely"],
    },
    Bug {
        name: "discord-unreadable-is-500",
        does: "An interaction that can't be read is answered with 500.",
        proof: "malformed",
        says: &["was answered 500"],
    },
    Bug {
        name: "discord-ruins-end-the-connection",
        does: "An event that can't be read ends the gateway's connection.",
        proof: "malformed",
        says: &[
            "Discord: a mutant ended the gateway's connection",
            "Discord: nobody answered mutant",
        ],
    },
    Bug {
        name: "discord-wait-for-all-ignored",
        does: "When Discord wants to hear nothing at all for a while, only calls of the same kind wait.",
        proof: "storm429",
        says: &["before Retry-After had passed"],
    },
    Bug {
        name: "discord-session-thrown-away",
        does: "No session of Discord's is resumed: each connection begins a new one.",
        proof: "reconnect",
        says: &["identifies, although"],
    },
    Bug {
        name: "discord-silence-unnoticed",
        does: "A connection to Discord through which nothing comes any more is kept.",
        proof: "reconnect",
        says: &["no connections that hear within"],
    },
    // What is shown.
    Bug {
        name: "markup-unescaped",
        does: "`<` is sent as it is, and Slack reads a mention.",
        proof: "hostileout",
        says: &["the fallback holds a bracket"],
    },
    Bug {
        name: "overrides-shown",
        does: "Characters that turn the direction of text stay in it.",
        proof: "hostileout",
        says: &["it holds '\\u{202"],
    },
    Bug {
        name: "long-line-unbroken",
        does: "A terminal breaks long output, and the rest begins where our own lines do.",
        proof: "hostileout",
        says: &["breaks this line"],
    },
    Bug {
        name: "discord-markup-unescaped",
        does: "Words are sent to Discord as they are, and it reads Markdown.",
        proof: "hostileout",
        says: &[
            "discord: a mark",
            "discord: a line begins",
            "discord: a link",
            "discord: a masked",
            "discord: it mentions",
        ],
    },
    Bug {
        name: "discord-block-ended",
        does: "Backticks in output stand side by side, and end the block.",
        proof: "hostileout",
        says: &[
            "stands outside of the block",
            "discord: a mark",
            "discord: a line begins",
            "discord: a link",
            "discord: it mentions",
            "discord: emphasis",
            "discord: of our",
        ],
    },
    Bug {
        name: "discord-block-of-nothing",
        does: "Output of nothing is put into a block, which Discord takes for the beginning of another.",
        proof: "hostileout",
        says: &[
            "stands outside of the block",
            "discord: a mark",
            "discord: a line begins",
            "discord: a link",
            "discord: it mentions",
            "discord: emphasis",
            "discord: of our",
        ],
    },
    Bug {
        name: "discord-links-unfold",
        does: "Discord is not told to leave links as they are.",
        proof: "hostileout",
        says: &["links would unfold"],
    },
    // What is executed and sent.
    Bug {
        name: "shell-used",
        does: "Programs are started through a shell.",
        proof: "argv",
        says: &["the arguments differ"],
    },
    Bug {
        name: "value-becomes-option",
        does: "A value that begins with `-` is let through as an argument.",
        proof: "argv",
        says: &["has a run and should have been refused", "expected Refused"],
    },
    Bug {
        name: "address-not-encoded",
        does: "Values stand in an address as they are.",
        proof: "argv",
        says: &["the query differs", "the path differs"],
    },
    Bug {
        name: "redirect-unchecked",
        does: "Redirects are followed wherever they lead.",
        proof: "ssrf",
        says: &["somebody was reached who is not on the list"],
    },
    Bug {
        name: "mapped-address-unseen",
        does: "An IPv4 address inside an IPv6 one is not looked at.",
        proof: "ssrf",
        says: &["who is not on the list", "where nobody listens"],
    },
    Bug {
        name: "looked-up-twice",
        does: "A name is looked up again after it was checked.",
        proof: "ssrf",
        says: &["somebody was reached who is not on the list"],
    },
    Bug {
        name: "cut-secret-shown",
        does: "A secret that is cut over two pieces of output is shown.",
        proof: "canary",
        says: &["a secret leaked into"],
    },
    // The ledger.
    Bug {
        name: "leaf-without-prefix",
        does: "A leaf of the ledger's tree is hashed without its prefix, and may pose as a node.",
        proof: "tamper",
        says: &["verify_ledger.py should have said `sound`"],
    },
    Bug {
        name: "signature-unchecked",
        does: "The signature of a checkpoint is not checked.",
        proof: "tamper",
        says: &["midwatch ledger verify should have said `NOT SOUND`"],
    },
    Bug {
        name: "witness-not-compared",
        does: "The checkpoints of the threads are not compared with the entries before them.",
        proof: "tamper",
        says: &["signed again, with the next witness: midwatch ledger verify should have said"],
    },
];
