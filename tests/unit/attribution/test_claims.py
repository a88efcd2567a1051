import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.attribution.claims import Claim, Claims, Dra, DraDevice, OwnerSource, Resources, find_claims
from exporter.attribution.device_ids import EntityIndex
from exporter.model import Entity, Holder
from podresources.allocations import ClaimAllocation
from tests.unit.holding import claimed, claims_of, gpu, held, instance, uuid_of

GPU, OTHER = gpu(0), gpu(1)
MIG = instance(gpu(2), 1, compute=2)
WEB = Holder("team-a", "web-0", "main")

SLICES = {
    ("node-1", "gpu-0"): DraDevice(GPU.gpu.uuid),
    ("node-1", "gpu-2-mig-1"): DraDevice(uuid_of(MIG, 1), "1g.10gb"),
    ("node-1", "gpu-9"): DraDevice("GPU-of-another-node"),
}


# Which resources are GPUs.


@pytest.mark.parametrize(
    ("resource", "counts"),
    [
        ("nvidia.com/gpu", True),
        ("nvidia.com/gpu.shared", True),
        ("nvidia.com/mig-1g.10gb", True),
        ("nvidia.com/mig-1g.10gb.shared", True),
        ("nvidia.com/gpu-h100", False),
        ("nvidia.com/hostdev", False),
        ("amd.com/gpu", False),
        ("example.com/nvidia.com/gpu", False),
        ("rdma/ib", False),
        ("", False),
    ],
)
def test_nvidias_resources_count_by_name_and_prefix(resource: str, counts: bool) -> None:
    claims = claims_of((held(GPU, resource=resource),), GPU)
    assert bool(claims.claims) == counts
    assert claims.uncounted == (set() if counts else {(GPU, resource)})
    assert not claims.unmatched


@pytest.mark.parametrize("device_id", ["GPU-of-elsewhere", "0000:3b:02.1", "mlx5_0", "42", "nvidia7", ""])
def test_a_resource_that_lists_no_gpu_of_this_node_is_not_worth_a_word(device_id: str) -> None:
    assert claims_of((held(device_id, resource="example.com/nic"),), GPU) == Claims(())


@pytest.mark.parametrize("resource", ["nvidia.com/gpu", "aliyun.com/gpu-mem", "volcano.sh/vgpu-number"])
@pytest.mark.parametrize("form", ["{}-3", "{}-_-3"])
def test_an_id_that_is_not_understood_is_no_claim_and_concerns_the_gpu_that_it_names(resource: str, form: str) -> None:
    device_id = form.format(GPU.gpu.uuid)
    claims = claims_of((held(device_id, resource=resource), held(OTHER, "b/b/b")), GPU, OTHER)
    assert [claim.entity for claim in claims.claims] == [OTHER]
    assert claims.unmatched == {device_id}
    assert claims.misnamed == {GPU}
    assert not claims.uncounted


def test_more_resources_count_by_name() -> None:
    allocations = (held(GPU, resource="nvidia.com/gpu-h100"), held(OTHER, resource="example.com/gpu"))
    resources = Resources(frozenset({"nvidia.com/gpu-h100"}))
    found = find_claims(allocations, EntityIndex((GPU, OTHER)), resources, Dra(), name_shares=False)
    assert [claim.entity for claim in found.claims] == [GPU]


# Device plugins.


def test_exclusive_gpu_is_claimed_by_its_container() -> None:
    [claim] = claims_of((held(GPU),), GPU, OTHER).claims
    assert claim == Claim(GPU, WEB, OwnerSource.DEVICE_PLUGIN, GPU.gpu.uuid)
    assert claim.pod == ("team-a", "web-0")


def test_container_claims_each_of_its_gpus_and_each_container_its_own() -> None:
    allocations = (
        held(GPU),
        held(OTHER),
        held(MIG, "team-a/web-0/side"),
        held(f"{GPU.gpu.uuid}::1", "team-b/web-0/main"),
    )
    found = {(claim.entity, *claim.holder) for claim in claims_of(allocations, GPU, OTHER, MIG).claims}
    assert found == {
        (GPU, "team-a", "web-0", "main"),
        (OTHER, "team-a", "web-0", "main"),
        (MIG, "team-a", "web-0", "side"),
        (GPU, "team-b", "web-0", "main"),
    }


@pytest.mark.parametrize("share", [f"{GPU.gpu.uuid}::3", "nvidia0/vgpu3", "nvidia0::3"])
def test_share_is_named_only_if_that_is_asked_for(share: str) -> None:
    [plain] = claims_of((held(share),), GPU).claims
    [named] = claims_of((held(share),), GPU, name_shares=True).claims
    assert (plain.extra, named.extra) == ((), (("vgpu", "3"),))


def test_whole_gpu_has_no_share_to_name() -> None:
    [claim] = claims_of((held(GPU),), GPU, name_shares=True).claims
    assert claim.extra == ()


@given(st.permutations([held(GPU), held(OTHER, "b/b/b"), held(MIG, "c/c/c"), held("GPU-none"), claimed("gpu-0")]))
def test_order_of_the_list_does_not_matter(allocations: list[ClaimAllocation]) -> None:
    shuffled = claims_of(tuple(allocations), GPU, OTHER, MIG, dra=SLICES)
    assert {claim.holder.pod for claim in shuffled.claims} == {"web-0", "b", "c"}
    assert len(shuffled.claims) == 4
    assert shuffled.unmatched == {"GPU-none"}


def test_claim_that_is_listed_twice_is_one() -> None:
    assert len(claims_of((held(GPU), held(GPU)), GPU).claims) == 1


# DRA.


def test_dra_claim_is_resolved_through_its_slice_and_says_what_it_is() -> None:
    [claim] = claims_of((claimed("gpu-0"),), GPU, dra=SLICES).claims
    assert claim[:4] == (GPU, WEB, OwnerSource.DRA, None)
    assert claim.extra == (
        ("dra_claim_name", "web-0-gpu"),
        ("dra_claim_namespace", "team-a"),
        ("dra_device_name", "gpu-0"),
        ("dra_driver_name", "gpu.nvidia.com"),
        ("dra_pool_name", "node-1"),
    )


def test_dra_claim_of_a_mig_device_is_its_instance_s_and_names_device_and_profile() -> None:
    [claim] = claims_of((claimed("gpu-2-mig-1"),), GPU, MIG, dra=SLICES).claims
    assert claim.entity == MIG
    assert dict(claim.extra).items() >= {"dra_mig_device_uuid": uuid_of(MIG, 1), "dra_mig_profile": "1g.10gb"}.items()


def test_parts_of_one_claimed_device_are_one_claim() -> None:
    shares = (claimed("gpu-0", share="a"), claimed("gpu-0", share="b"))
    assert len(claims_of(shares, GPU, dra=SLICES).claims) == 1


def test_claims_of_other_drivers_are_nobodys_business() -> None:
    other = claimed("gpu-0")._replace(driver="compute-domain.nvidia.com")
    found = claims_of((other,), GPU, dra=SLICES)
    assert found == claims_of((), GPU)


def test_claim_with_admin_access_owns_nothing() -> None:
    allocations = (claimed("gpu-0", claim="owner"), claimed("gpu-0", "mon/watcher/main", claim="watcher"))
    admin = {("team-a", "owner"): frozenset[tuple[str, str]](), ("mon", "watcher"): frozenset({("node-1", "gpu-0")})}
    found = claims_of(allocations, GPU, OTHER, dra=SLICES, admin_access=admin)
    assert [claim.pod for claim in found.claims] == [("team-a", "web-0")]
    assert (found.unmatched, found.lacks_slices) == (frozenset(), False)


def test_admin_access_is_to_a_device_and_not_to_all_of_a_claim() -> None:
    allocations = (claimed("gpu-0"), claimed("gpu-2-mig-1"))
    admin = {("team-a", "web-0-gpu"): frozenset({("node-1", "gpu-0"), ("node-2", "gpu-2-mig-1")})}
    assert [claim.entity for claim in claims_of(allocations, GPU, MIG, dra=SLICES, admin_access=admin).claims] == [MIG]


def test_nothing_is_said_of_a_claim_that_has_not_been_read_yet() -> None:
    allocations = (claimed("gpu-0", claim="new"), claimed("gpu-9", claim="new"))
    found = claims_of(allocations, GPU, dra=SLICES, admin_access={})
    assert (found.claims, found.unmatched, found.lacks_slices) == ((), frozenset(), True)


ONE, TWO = instance(OTHER, 1), instance(OTHER, 2)
OF_OTHER = {("node-1", "gpu-1-mig-1g10gb-19-0"): DraDevice(None, "1g.10gb", OTHER.gpu.uuid)}


def test_mig_device_that_is_made_on_demand_is_found_by_its_gpu() -> None:
    [claim] = claims_of((claimed("gpu-1-mig-1g10gb-19-0"),), GPU, MIG, ONE, dra=OF_OTHER).claims
    assert claim.entity == ONE
    assert dict(claim.extra).items() >= {"dra_mig_device_uuid": uuid_of(ONE), "dra_mig_profile": "1g.10gb"}.items()


def test_mig_device_that_was_made_anew_is_found_by_its_gpu() -> None:
    dra = {("node-1", "mig"): DraDevice("MIG-of-before", "1g.10gb", OTHER.gpu.uuid)}
    assert [claim.entity for claim in claims_of((claimed("mig"),), ONE, dra=dra).claims] == [ONE]


@pytest.mark.parametrize(
    "entities", [(GPU, OTHER), (ONE, TWO), (MIG,)], ids=["it has none", "it has two", "it is elsewhere"]
)
def test_mig_device_is_not_guessed(entities: tuple[Entity, ...]) -> None:
    found = claims_of((claimed("gpu-1-mig-1g10gb-19-0"),), *entities, dra=OF_OTHER)
    assert found.claims == ()
    assert found.unmatched == {"node-1/gpu-1-mig-1g10gb-19-0"}


@pytest.mark.parametrize("uuid", [None, "MIG-that-was-not-seen-yet"])
def test_an_instance_that_one_device_is_for_certain_is_not_guessed_to_be_another(uuid: str | None) -> None:
    """A second instance is made, its pod starts, and the GPU's instances are looked at some seconds later."""
    dra = {
        ("node-1", "first"): DraDevice(uuid_of(ONE), "1g.10gb", OTHER.gpu.uuid),
        ("node-1", "second"): DraDevice(uuid, "1g.10gb", OTHER.gpu.uuid),
    }
    found = claims_of((claimed("first", "a/a/a"), claimed("second", "b/b/b")), ONE, dra=dra)
    assert [(claim.entity, claim.holder.pod) for claim in found.claims] == [(ONE, "a")]
    assert found.unmatched == {"node-1/second"}


def test_of_two_devices_that_may_be_one_instance_neither_is_guessed() -> None:
    dra = {("node-1", name): DraDevice(None, "1g.10gb", OTHER.gpu.uuid) for name in ("first", "second")}
    found = claims_of((claimed("first", "a/a/a"), claimed("second", "b/b/b")), ONE, dra=dra)
    assert found.claims == ()
    assert found.unmatched == {"node-1/first", "node-1/second"}


def test_mig_device_of_another_profile_is_another_one() -> None:
    dra = {("node-1", "mig"): DraDevice(None, "2g.20gb", OTHER.gpu.uuid)}
    assert claims_of((claimed("mig"),), ONE, dra=dra).claims == ()


def test_dra_claims_are_neither_guessed_nor_strange_while_no_slice_is_known() -> None:
    found = claims_of((claimed("gpu-0"), held(OTHER, "b/b/b")), GPU, OTHER)
    assert [claim.entity for claim in found.claims] == [OTHER]
    assert (found.unmatched, found.lacks_slices) == (frozenset(), True)


def test_slices_lack_nothing_where_no_claim_needs_them() -> None:
    assert not claims_of((held(GPU),), GPU).lacks_slices
    assert not claims_of((claimed("gpu-0"),), GPU, dra=SLICES).lacks_slices


# What means nothing.


def test_ids_that_mean_nothing_are_told() -> None:
    allocations = (
        held("GPU-deadbeef-0000-0000-0000-000000000000"),
        held("no id at all"),
        held("something", resource="rdma/ib"),
        claimed("gpu-7"),
        claimed("gpu-9"),
        held(GPU),
    )
    assert claims_of(allocations, GPU, dra=SLICES).unmatched == {
        "GPU-deadbeef-0000-0000-0000-000000000000",
        "no id at all",
        "node-1/gpu-7",
        "node-1/gpu-9",
    }
