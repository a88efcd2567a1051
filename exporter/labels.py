"""Label blocks: which labels a series of an entity carries, in which order and spelling.

A block is rendered once for each entity and owner, and kept until either changes.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from exporter.model import Entity, Holder, Labels, Owner, Owners, Sample
from exporter.settings import LabelStyle


@dataclass(frozen=True, slots=True)
class Spelling:
    """How the labels of one style are called."""

    uuid: str
    model: str
    hostname: str


SPELLINGS: Mapping[LabelStyle, Spelling] = {
    LabelStyle.CLASSIC: Spelling("UUID", "modelName", "Hostname"),
    LabelStyle.V4_8_3: Spelling("UUID", "modelName", "hostname"),
    LabelStyle.V4_9: Spelling("gpu_uuid", "model_name", "hostname"),
}
"""dcgm-exporter's spellings by release; 4.9's is second-hand."""

LINK_SPELLING = Spelling("gpu_uuid", "model_name", "hostname")
"""Link entities are spelled alike in every style."""


@dataclass(frozen=True, slots=True)
class LabelOptions:
    """What decides the labels of all series. `hostname` None leaves that label out."""

    style: LabelStyle = LabelStyle.CLASSIC
    hostname: str | None = None
    kubernetes: bool = False
    use_old_namespace: bool = False
    replace_blanks_in_model_name: bool = False


def escape(value: str) -> str:
    """Return a label value as it stands between quotes in every Prometheus text format."""
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def block(labels: Iterable[tuple[str, str]]) -> str:
    """Return labels as they stand between braces."""
    return ",".join(f'{name}="{escape(value)}"' for name, value in labels)


MOST_OWN = 1000
"""How many label blocks of an entity's samples with labels of their own are kept; far more than it has at a time."""

_NOBODY = Owner(Holder("", "", ""))


@dataclass(slots=True)
class _EntityBlocks:
    """An entity's blocks, with and without the model's name, and from what they were rendered.

    `own` are the blocks of samples with labels of their own, by these and whether the model is named.
    """

    texts: Labels
    owners: tuple[Owner, ...]
    blocks: tuple[str, ...]
    nameless_blocks: tuple[str, ...]
    own: dict[tuple[Labels, bool], tuple[str, ...]] = field(default_factory=dict)


class LabelCache:
    """The label blocks of all entities under one set of options."""

    def __init__(self, options: LabelOptions) -> None:
        self._options = options
        self._known: dict[Entity, _EntityBlocks] = {}

    def update(self, entities: Iterable[Entity], texts: Mapping[Entity, Labels], owners: Owners) -> None:
        """Render the blocks of entities that are new or have changed, and forget those that are gone.

        Args:
            entities: All entities that will be asked for.
            texts: Text fields that are labels on all series of an entity.
            owners: Who holds each entity.
        """
        known: dict[Entity, _EntityBlocks] = {}
        for entity in entities:
            of_entity = self._owners(entity, owners)
            text = texts.get(entity, ())
            old = self._known.get(entity)
            if old is None or old.texts != text or old.owners != of_entity:
                blocks, nameless = (
                    tuple(self._block(head, text, owner, ()) for owner in of_entity)
                    for head in (self._head(entity), self._head(entity, names_model=False))
                )
                old = _EntityBlocks(text, of_entity, blocks, nameless)
            known[entity] = old
        self._known = known

    def blocks(self, sample: Sample, *, names_model: bool = True) -> Iterable[str]:
        """Return a sample's label blocks: one for each owner of its entity, or one for nobody.

        Without `names_model` they lack the model's name, whose classic spelling Prometheus's linter objects to.
        """
        known = self._known[sample.entity]
        if not sample.labels:
            return known.blocks if names_model else known.nameless_blocks
        key = sample.labels, names_model
        if key not in known.own:
            if len(known.own) >= MOST_OWN:  # codes that come and go, as those of Xids
                known.own.clear()
            known.own[key] = self._own_blocks(sample, known, names_model=names_model)
        return known.own[key]

    def _own_blocks(self, sample: Sample, known: _EntityBlocks, *, names_model: bool) -> tuple[str, ...]:
        head = self._head(sample.entity, names_model=names_model)
        return tuple(self._block(head, known.texts, owner, sample.labels) for owner in known.owners)

    def _owners(self, entity: Entity, owners: Owners) -> tuple[Owner, ...]:
        device = entity if entity.link is None else Entity(entity.gpu, entity.instance)
        return owners.get(device, ()) or (_NOBODY,)

    def _block(self, head: Labels, texts: Labels, owner: Owner, own: Labels) -> str:
        middle = sorted((*texts, *owner.labels))
        last = sorted((*self._holder_labels(owner.holder), *owner.extra, *own))
        return block((*head, *middle, *last))

    def _head(self, entity: Entity, *, names_model: bool = True) -> Labels:
        return tuple(self._entity_labels(entity, names_model=names_model))

    def _holder_labels(self, holder: Holder) -> Labels:
        if not self._options.kubernetes and not any(holder):
            return ()
        if self._options.use_old_namespace:
            return (
                ("container_name", holder.container),
                ("pod_name", holder.pod),
                ("pod_namespace", holder.namespace),
            )
        return (("container", holder.container), ("namespace", holder.namespace), ("pod", holder.pod))

    def _entity_labels(self, entity: Entity, *, names_model: bool) -> Iterator[tuple[str, str]]:
        options, gpu = self._options, entity.gpu
        model = gpu.model.replace(" ", "-") if options.replace_blanks_in_model_name else gpu.model
        spelling = SPELLINGS[options.style] if entity.link is None else LINK_SPELLING
        uuid = spelling.uuid
        if entity.link is not None:
            yield "nvlink", str(entity.link)
        elif options.use_old_namespace:
            uuid = "uuid"
        yield "gpu", str(gpu.index)
        yield uuid, gpu.uuid
        yield "pci_bus_id", gpu.pci_bus_id
        yield "device", f"nvidia{gpu.index}"
        if names_model:
            yield spelling.model, model
        if entity.instance is not None:
            yield "GPU_I_PROFILE", entity.instance.profile
            yield "GPU_I_ID", str(entity.instance.gpu_instance_id)
        if options.hostname is not None:
            yield spelling.hostname, options.hostname
