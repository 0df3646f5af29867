//! Tasks that are to go, because fewer are wanted: they finish what they have and are given nothing new, until ECS stops
//! them or they are wanted back.

use std::sync::Arc;

use tracing::info;

use super::{Fleet, Member, Names, Placed, Task, TaskState};

impl Fleet {
    /// Gives these tasks nothing new, and takes back who was to go and is not among them.
    pub(crate) fn retire(&mut self, names: &Names) {
        if self.retiring == *names {
            return;
        }
        for member in &mut self.members {
            let (before, now) =
                (self.retiring.contains(&member.task.name), names.contains(&member.task.name));
            let task = &member.task;
            if now && task.state() != TaskState::Draining {
                info!(service = %self.name, task = %task.name, busy = task.busy(), "a task is to go; it finishes what it has");
                task.set_state(TaskState::Draining);
            } else if before && !now && member.listed {
                info!(service = %self.name, task = %task.name, "a task that was to go stays");
                // It answers probes all the time: the next one proves it.
                task.set_state(TaskState::Unproven);
                member.failures = 0;
            }
        }
        self.retiring.clone_from(names);
    }

    /// Returns the tasks that the last listing showed, and where they are.
    pub(crate) fn present(&self) -> impl Iterator<Item = (&Task, &Placed)> {
        let listed = self.members.iter().filter(|member| member.listed);
        listed.map(|Member { task, placed, .. }| (&**task, placed))
    }

    /// Returns their names.
    pub(crate) fn present_names(&self) -> Names {
        self.present().map(|(task, _)| Arc::clone(&task.name)).collect()
    }
}
