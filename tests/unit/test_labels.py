from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from exporter.exposition import Format
from exporter.labels import SPELLINGS, LabelCache, LabelOptions, block, escape
from exporter.model import Entity, Holder, Labels, Owner, Owners, Sample
from exporter.settings import LabelStyle
from tests.golden.soundness import parse
from tests.unit.entities import GPU, INSTANCE, LATER, LINK, OTHER_GPU

NODE = LabelOptions(hostname="node-1")
IN_KUBERNETES = replace(NODE, kubernetes=True)
DRIVER = (("DCGM_FI_DRIVER_VERSION", "580.1"),)
POD = Owner(Holder("team-a", "web-0", "main"))
OTHER_POD = Owner(Holder("team-b", "batch", "train"))

HEAD = (
    'gpu="3",UUID="GPU-abc",pci_bus_id="00000000:1B:00.0",device="nvidia3",'
    'modelName="NVIDIA H100 80GB HBM3",Hostname="node-1"'
)


def value_of(entity: Entity = GPU, labels: Labels = ()) -> Sample:
    return Sample(entity, "DCGM_FI_DEV_GPU_UTIL", 1, LATER, labels)


def blocks(
    sample: Sample,
    options: LabelOptions = NODE,
    owners: Owners | None = None,
    texts: Mapping[Entity, Labels] | None = None,
) -> list[str]:
    cache = LabelCache(options)
    cache.update([sample.entity], texts or {}, owners or {})
    return list(cache.blocks(sample))


# Names and order.


def test_gpu_has_the_labels_of_dcgm_exporter_in_its_order() -> None:
    assert blocks(value_of()) == [HEAD]


def test_instance_has_its_profile_and_id_before_the_host_name() -> None:
    (found,) = blocks(value_of(INSTANCE))
    assert found.endswith(',GPU_I_PROFILE="2g.20gb",GPU_I_ID="5",Hostname="node-1"')


@pytest.mark.parametrize(
    "options", [replace(NODE, style=style) for style in LabelStyle] + [replace(NODE, use_old_namespace=True)]
)
def test_link_has_a_shape_of_its_own_in_every_style(options: LabelOptions) -> None:
    assert blocks(value_of(LINK), options) == [
        (
            'nvlink="12",gpu="3",gpu_uuid="GPU-abc",pci_bus_id="00000000:1B:00.0",device="nvidia3",'
            'model_name="NVIDIA H100 80GB HBM3",hostname="node-1"'
        )
    ]


@pytest.mark.parametrize(
    ("style", "names"),
    [
        (LabelStyle.CLASSIC, ("UUID", "modelName", "Hostname")),
        (LabelStyle.V4_8_3, ("UUID", "modelName", "hostname")),
        (LabelStyle.V4_9, ("gpu_uuid", "model_name", "hostname")),
    ],
)
def test_style_decides_three_names(style: LabelStyle, names: tuple[str, str, str]) -> None:
    uuid, model, hostname = names
    assert blocks(value_of(), replace(NODE, style=style)) == [
        (
            f'gpu="3",{uuid}="GPU-abc",pci_bus_id="00000000:1B:00.0",device="nvidia3",'
            f'{model}="NVIDIA H100 80GB HBM3",{hostname}="node-1"'
        )
    ]


def test_every_style_has_a_spelling() -> None:
    assert set(SPELLINGS) == set(LabelStyle)


@pytest.mark.parametrize("style", LabelStyle)
def test_old_namespace_writes_uuid_small_in_every_style(style: LabelStyle) -> None:
    (found,) = blocks(value_of(), replace(NODE, style=style, use_old_namespace=True))
    assert found.startswith('gpu="3",uuid="GPU-abc",')


def test_host_name_can_be_left_out() -> None:
    assert blocks(value_of(), LabelOptions()) == [HEAD.removesuffix(',Hostname="node-1"')]


def test_blanks_in_the_model_name_can_be_dashes() -> None:
    (found,) = blocks(value_of(), replace(NODE, replace_blanks_in_model_name=True))
    assert 'modelName="NVIDIA-H100-80GB-HBM3"' in found


def test_model_name_can_be_left_out_in_every_style() -> None:
    for style in LabelStyle:
        cache = LabelCache(replace(NODE, style=style))
        cache.update([GPU], {}, {})
        for sample in (value_of(), value_of(labels=(("xid", "79"),))):
            (found,) = cache.blocks(sample, names_model=False)
            assert "H100" not in found
            assert 'device="nvidia3"' in found
            assert 'ostname="node-1"' in found


def test_text_fields_stand_behind_the_host_name() -> None:
    assert blocks(value_of(), texts={GPU: DRIVER}) == [f'{HEAD},DCGM_FI_DRIVER_VERSION="580.1"']


def test_text_fields_and_pod_labels_are_sorted_together_before_the_sorted_rest() -> None:
    owner = replace(POD, labels=(("zone", "b"), ("App", "web")), extra=(("vgpu", "1"), ("dra_driver_name", "d")))
    found = blocks(value_of(labels=(("err_code", "79"),)), IN_KUBERNETES, {GPU: (owner,)}, {GPU: DRIVER})
    assert found == [
        (
            f'{HEAD},App="web",DCGM_FI_DRIVER_VERSION="580.1",zone="b",'
            'container="main",dra_driver_name="d",err_code="79",namespace="team-a",pod="web-0",vgpu="1"'
        )
    ]


# Owners.


def test_outside_kubernetes_nobody_holds_a_gpu() -> None:
    assert "pod" not in blocks(value_of())[0]


def test_idle_gpu_carries_empty_pod_labels_in_kubernetes() -> None:
    assert blocks(value_of(), IN_KUBERNETES) == [f'{HEAD},container="",namespace="",pod=""']


def test_own_labels_of_a_sample_keep_the_empty_pod_labels() -> None:
    assert blocks(value_of(labels=(("err_code", "0"),)), IN_KUBERNETES) == [
        f'{HEAD},container="",err_code="0",namespace="",pod=""'
    ]


def test_old_namespace_renames_the_pod_labels() -> None:
    (found,) = blocks(value_of(), replace(IN_KUBERNETES, use_old_namespace=True), {GPU: (POD,)})
    assert found.endswith(',container_name="main",pod_name="web-0",pod_namespace="team-a"')


def test_shared_gpu_has_one_block_for_each_holder() -> None:
    found = blocks(value_of(), IN_KUBERNETES, {GPU: (POD, OTHER_POD)})
    assert [text.removeprefix(HEAD) for text in found] == [
        ',container="main",namespace="team-a",pod="web-0"',
        ',container="train",namespace="team-b",pod="batch"',
    ]


def test_link_inherits_the_owners_of_its_gpu() -> None:
    (found,) = blocks(value_of(LINK), IN_KUBERNETES, {GPU: (POD,)})
    assert found.endswith(',container="main",namespace="team-a",pod="web-0"')


def test_instance_does_not_inherit_the_owners_of_its_gpu() -> None:
    (found,) = blocks(value_of(INSTANCE), IN_KUBERNETES, {GPU: (POD,)})
    assert found.endswith(',container="",namespace="",pod=""')


# Changes.


def test_blocks_follow_owners_and_texts() -> None:
    cache = LabelCache(IN_KUBERNETES)
    cache.update([GPU, OTHER_GPU], {}, {})
    cache.update([GPU, OTHER_GPU], {GPU: DRIVER}, {GPU: (POD,)})
    assert list(cache.blocks(value_of())) == [
        f'{HEAD},DCGM_FI_DRIVER_VERSION="580.1",container="main",namespace="team-a",pod="web-0"'
    ]
    cache.update([GPU, OTHER_GPU], {GPU: (("DCGM_FI_DRIVER_VERSION", "590.2"),)}, {GPU: (POD,)})
    assert 'DCGM_FI_DRIVER_VERSION="590.2"' in next(iter(cache.blocks(value_of())))
    cache.update([GPU, OTHER_GPU], {GPU: DRIVER}, {GPU: (replace(POD, labels=(("app", "web"),)),)})
    assert 'app="web"' in next(iter(cache.blocks(value_of())))
    cache.update([GPU, OTHER_GPU], {}, {})
    assert list(cache.blocks(value_of())) == [f'{HEAD},container="",namespace="",pod=""']


def test_blocks_are_rendered_once_while_nothing_changes() -> None:
    cache = LabelCache(IN_KUBERNETES)
    cache.update([GPU], {GPU: DRIVER}, {GPU: (POD,)})
    (before,) = cache.blocks(value_of())
    cache.update([GPU], {GPU: DRIVER}, {GPU: (POD,)})
    (after,) = cache.blocks(value_of())
    assert after is before


def test_blocks_of_samples_with_labels_of_their_own_are_rendered_once_and_kept_apart() -> None:
    cache = LabelCache(IN_KUBERNETES)
    cache.update([GPU], {}, {GPU: (POD, OTHER_POD)})
    samples = [value_of(labels=labels) for labels in ((), (("err_code", "13"),), (("err_code", "31"),))]
    found = {
        (n, named): tuple(cache.blocks(s, names_model=bool(named))) for n, s in enumerate(samples) for named in (0, 1)
    }
    assert len(set(found.values())) == len(found) == 6
    for (n, named), before in found.items():
        assert all(a is b for a, b in zip(cache.blocks(samples[n], names_model=bool(named)), before, strict=True))
    cache.update([GPU], {}, {GPU: (OTHER_POD,)})
    assert [len(list(cache.blocks(sample))) for sample in samples] == [1] * 3


def test_instance_that_was_made_anew_is_another_one() -> None:
    cache = LabelCache(NODE)
    cache.update([INSTANCE], {}, {})
    assert INSTANCE.instance is not None
    anew = replace(INSTANCE, instance=replace(INSTANCE.instance, profile="3g.40gb"))
    cache.update([anew], {}, {})
    assert 'GPU_I_PROFILE="3g.40gb"' in next(iter(cache.blocks(value_of(anew))))


# Values.


def test_three_characters_are_escaped() -> None:
    assert escape('a\\b"c\nd') == 'a\\\\b\\"c\\nd'


any_text = st.text(st.characters(codec="utf-8"))


@given(any_text, any_text)
@example("\\", "\\n")
@example('\\"', "\n\\")
@example("\r\n\x00", "\u2028\u2029\x85\x0b\x0c")
@example('a",b="c', "}")
@example("", " ")
def test_any_value_comes_back_and_stays_on_one_line(one: str, two: str) -> None:
    line = f"m{{{block((('a', one), ('b', two)))}}} 1"
    assert "\n" not in line
    pages = {Format.TEXT: f"{line}\n", Format.OPENMETRICS: f"# TYPE m unknown\n{line}\n# EOF\n"}
    for form, page in pages.items():
        (family,) = parse(page, form)
        assert family.samples[0].labels == {"a": one, "b": two}
