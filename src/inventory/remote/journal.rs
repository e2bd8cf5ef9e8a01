//! Keeping what happened: a piece of the journal, or a few lines in the head itself, then the head, and only then is
//! anything sent; and the fold of the journal into the entries.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;

use super::super::blobs::{BlobKey, BlobName};
use super::super::snapshot::{JournalLine, Step};
use super::super::{Answered, InventoryError, Sending, WriteNumber};
use super::codec::Text;
use super::entries::{self, Laid, Layout};
use super::head::{Head, Obsolete, OperatorNotes, Piece};
use super::place::{Loaded, Place};
use super::read::{self, PAUSE, PieceText, TRIES, in_time};
use crate::model::{Owned, Record, TargetId};

/// How many names are tried for a blob: those of runs that were killed between it and its head are taken.
const NAMES: u64 = 100;

/// What becomes of the claim with a write of the head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Then {
    Hold,
    GiveBack,
}

impl Place {
    /// Keeps what is about to be sent, with all that happened before.
    pub(super) async fn prepare(
        self: &Arc<Self>,
        target: &TargetId,
        sending: Vec<Sending>,
    ) -> Result<Vec<WriteNumber>, InventoryError> {
        let mut state = self.state.lock().await;
        let loaded = self.writable(&mut state).await?;
        if sending.is_empty() && loaded.unkept.is_empty() {
            return Ok(Vec::new());
        }
        if self.is_long(&loaded.head) {
            self.fold(loaded, Then::Hold).await?;
        }
        let (numbers, steps) = Step::all_prepared(&mut state.numbers, sending);
        let loaded = self.writable(&mut state).await?;
        let line = JournalLine::of(&self.identity, target, steps);
        let line = Some(line).filter(|line| !line.steps.is_empty());
        self.keep(loaded, line, Then::Hold).await?;
        self.held(&mut state);
        Ok(numbers)
    }

    /// Takes what was learned; the next write of the head keeps it.
    pub(super) async fn record(
        &self,
        target: &TargetId,
        records: Vec<Record>,
    ) -> Result<(), InventoryError> {
        if records.is_empty() {
            return Ok(());
        }
        let mut state = self.state.lock().await;
        let loaded = self.writable(&mut state).await?;
        let steps = Step::learned(records);
        loaded.remember(JournalLine::of(&self.identity, target, steps));
        Ok(())
    }

    /// Takes what became of a write; the next write of the head keeps it.
    pub(super) async fn answered(
        &self,
        target: &TargetId,
        number: WriteNumber,
        answered: Answered,
    ) -> Result<(), InventoryError> {
        let mut state = self.state.lock().await;
        if let Some(entry) = &answered.entry {
            (self.audit)(entry);
        }
        let loaded = self.loaded(&mut state).await?;
        let mut steps = Step::answered(answered);
        steps.push(Step::Answered(number));
        loaded.remember(JournalLine::of(&self.identity, target, steps));
        Ok(())
    }

    /// Keeps what is not kept yet, and gives the claim back.
    pub(super) async fn release(&self) -> Result<(), InventoryError> {
        let mut state = self.state.lock().await;
        let is_idle = |loaded: &Loaded| !loaded.is_held && loaded.unkept.is_empty();
        if state.loaded.as_ref().is_none_or(is_idle) {
            return Ok(());
        }
        let loaded = self.writable(&mut state).await?;
        let has_news = !loaded.unkept.is_empty() || loaded.head.has_journal();
        // What fits into the head is folded each time: it costs nothing more.
        if has_news && (loaded.head.parts.is_empty() || self.is_long(&loaded.head)) {
            self.fold(loaded, Then::GiveBack).await
        } else {
            self.keep(loaded, None, Then::GiveBack).await
        }
    }

    /// Changes what the operator keeps beside the inventory; a change that is none is not written.
    pub(super) async fn update_notes(
        self: &Arc<Self>,
        update: impl FnOnce(&mut OperatorNotes),
    ) -> Result<(), InventoryError> {
        let mut state = self.state.lock().await;
        let loaded = self.writable(&mut state).await?;
        let mut head = self.next_head(&loaded.head);
        update(&mut head.operator);
        if head.operator == loaded.head.operator {
            return Ok(());
        }
        loaded.is_broken = true;
        self.swap(loaded, head).await?;
        loaded.is_broken = false;
        self.held(&mut state);
        Ok(())
    }

    pub(super) async fn generation(&self) -> Result<Option<u64>, InventoryError> {
        let mut state = self.state.lock().await;
        let loaded = self.loaded(&mut state).await?;
        let is_there = loaded.version.is_some();
        Ok(is_there.then_some(loaded.head.generation))
    }

    pub(super) async fn notes(&self) -> Result<OperatorNotes, InventoryError> {
        let mut state = self.state.lock().await;
        let loaded = self.loaded(&mut state).await?;
        Ok(loaded.head.operator.clone())
    }

    /// Gives the audit log the lines of a run that did not live to write them.
    pub(super) fn pay_what_is_owed(&self, loaded: &mut Loaded) {
        let Some(target) = loaded.head.reached_by.clone() else {
            return;
        };
        let owed = std::mem::take(&mut loaded.owed);
        for entry in owed.values() {
            (self.audit)(entry);
        }
        let steps: Vec<_> = owed.into_keys().map(Step::Answered).collect();
        if !steps.is_empty() {
            loaded.remember(JournalLine::of(&self.identity, &target, steps));
        }
    }

    /// Writes the head with what is not kept yet, and with one line more.
    async fn keep(
        &self,
        loaded: &mut Loaded,
        line: Option<JournalLine>,
        then: Then,
    ) -> Result<(), InventoryError> {
        let mut head = self.following(loaded, then);
        let news = loaded.unkept.iter().chain(&line);
        head.note(news.clone());
        head.writes += news.clone().map(JournalLine::writes).sum::<u64>();
        head.tail.extend(news.cloned());
        loaded.is_broken = true;
        self.cut_tail(&mut head).await?;
        self.swap(loaded, head).await?;
        loaded.is_broken = false;
        loaded.unkept.clear();
        if let Some(line) = line {
            loaded.snapshot.take(line);
        }
        Ok(())
    }

    /// Makes a piece of the lines in a head that is to be written, if they are too many for it.
    async fn cut_tail(&self, head: &mut Head) -> Result<(), InventoryError> {
        if Text::of(&head.tail).json.len() <= self.limits.tail {
            return Ok(());
        }
        let text = Text::of(&PieceText {
            write_id: head.write_id.clone(),
            lines: std::mem::take(&mut head.tail),
        });
        let bytes = text.pack();
        let key = |name| self.key.piece(name);
        head.pieces.push(Piece {
            name: self.create(head.generation, 0, key, &bytes).await?,
            size: bytes.len(),
            sha256: text.sha256,
        });
        Ok(())
    }

    /// Puts the journal, and what is not kept yet, into the entries. Parts whose entries did not change stay as they are.
    pub(super) async fn fold(&self, loaded: &mut Loaded, then: Then) -> Result<(), InventoryError> {
        let Some((target, owned, removals)) = loaded.snapshot.place(&self.identity) else {
            return self.keep(loaded, None, then).await;
        };
        let all = entries::entries(owned, removals, Timestamp::now());
        let mut head = self.following(loaded, then);
        head.note(&loaded.unkept);
        head.note_repositories(owned);
        head.writes = owned.writes;
        let old = std::mem::take(&mut head.parts);
        let pieces = std::mem::take(&mut head.pieces);
        // What is still to be answered owes the audit log its lines.
        let open = loaded.snapshot.unanswered.clone().into_iter();
        let open: Vec<_> = open
            .map(|(number, entry)| Step::Sent(number, entry))
            .collect();
        let open = JournalLine::of(&self.identity, target, open);
        let open = Some(open).filter(|line| !line.steps.is_empty());
        (head.tail, head.entries) = (open.into_iter().collect(), Vec::new());
        loaded.is_broken = true;
        match entries::lay(all, &old, &self.limits) {
            Layout::Inline(entries) => head.entries = entries,
            Layout::Parts(laid) => {
                let mut number = 0;
                for laid in laid {
                    let mut name = BlobName {
                        generation: head.generation,
                        number,
                    };
                    if let Laid::New { bytes, .. } = &laid {
                        let key = |name| self.key.part(name);
                        name = self.create(head.generation, number, key, bytes).await?;
                        number = name.number + 1;
                    }
                    head.parts.push(laid.named(name));
                }
            }
        }
        self.cut_tail(&mut head).await?;
        let named: BTreeSet<_> = head.parts.iter().map(|part| part.name).collect();
        let parts = old.into_iter().map(|part| part.name);
        let parts = parts.filter(|name| !named.contains(name));
        let parts = parts.map(Obsolete::Part);
        let pieces = pieces.into_iter().map(|piece| Obsolete::Piece(piece.name));
        head.obsolete.extend(parts.chain(pieces));
        self.swap(loaded, head).await?;
        loaded.is_broken = false;
        loaded.unkept.clear();
        self.sweep(loaded).await;
        Ok(())
    }

    /// Deletes what no head names any more. What stays is tried again after the next fold.
    async fn sweep(&self, loaded: &mut Loaded) {
        let mut left = Vec::new();
        for obsolete in std::mem::take(&mut loaded.head.obsolete) {
            let key = obsolete.key(&self.key);
            if let Err(error) = in_time(self.blobs.delete(&key)).await {
                tracing::warn!(inventory = %key, %error, "what is not needed any more stays for now");
                left.push(obsolete);
            }
        }
        loaded.head.obsolete = left;
    }

    /// Whether a journal is to be folded.
    fn is_long(&self, head: &Head) -> bool {
        head.pieces.len() >= self.limits.pieces || head.journal_size() >= self.limits.journal
    }

    fn following(&self, loaded: &Loaded, then: Then) -> Head {
        let mut head = self.next_head(&loaded.head);
        if then == Then::GiveBack {
            // Others may take it as soon as it arrives, which is before the answer comes.
            self.fence.close();
            head.claim = None;
        }
        head
    }

    /// Makes a blob that never changes, under the first name from a number on that is free.
    async fn create(
        &self,
        generation: u64,
        first: u64,
        key: impl Fn(BlobName) -> BlobKey,
        bytes: &[u8],
    ) -> Result<BlobName, InventoryError> {
        let mut last = None;
        let mut number = first;
        let mut tries = 0;
        while tries < TRIES && number < first + NAMES {
            let name = BlobName { generation, number };
            let key = key(name);
            let blobs = self.blobs.as_ref();
            match in_time(blobs.create(&key, bytes)).await {
                Ok(_) => return Ok(name),
                Err(error) => last = Some(error),
            }
            match read::get(blobs, &key).await? {
                Some((found, _)) if found == bytes => return Ok(name),
                Some(_) => number += 1,
                None => {
                    tries += 1;
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
        Err(InventoryError::Unwritable {
            name: self.key.to_string(),
            source: last,
        })
    }
}

impl Head {
    /// Takes what lines say of the target and of names of repositories.
    fn note<'l>(&mut self, lines: impl IntoIterator<Item = &'l JournalLine>) {
        for line in lines {
            self.reached_by = Some(line.target.clone());
            for (old, new) in line.renamed_repositories() {
                let mut before = self.repositories.remove(old).unwrap_or_default();
                before.insert(old.clone());
                before.remove(new);
                self.repositories
                    .entry(new.clone())
                    .or_default()
                    .extend(before);
            }
        }
    }

    fn note_repositories(&mut self, owned: &Owned) {
        let repositories = owned
            .manifests()
            .filter_map(|manifest| manifest.file.repository());
        for repository in repositories {
            if !self.repositories.contains_key(repository) {
                self.repositories
                    .insert(repository.clone(), BTreeSet::new());
            }
        }
    }
}
