"""`Restoring`: a save of a record that is imported with all that it had beside its values."""

from __future__ import annotations

from popoto.engine.batch import Batch
from popoto.models.beside.belongings import put_belongings
from popoto.models.record.decision import Decision
from popoto.models.writing.saving import Saving


class Restoring(Saving):
    """What new records begin with, and what mixins add, is replaced in the same step."""

    def batch(self) -> Batch:
        batch = super().batch()
        put_belongings(batch, self.instance, self.key, self.values(self.changed))
        return batch

    def _shows(self, decision: Decision) -> bool:
        return False
