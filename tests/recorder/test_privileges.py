"""What is kept of root's power while recording, by the kernel's release."""

import pytest

from recorder.privileges import CAP_BPF, kept_while_recording


@pytest.mark.parametrize("release", ["5.19.0", "6.1.0-50-cloud-amd64", "6.18.44-fc-v657", "7.2.13+deb14-cloud-amd64"])
def test_a_kernel_that_lets_anyone_read_an_open_map_leaves_us_nothing(release: str) -> None:
    assert kept_while_recording(release) == 0


@pytest.mark.parametrize("release", ["5.10.0-46-cloud-amd64", "5.15.0", "5.18.19"])
def test_an_older_kernel_leaves_us_cap_bpf_alone(release: str) -> None:
    assert kept_while_recording(release) == 1 << CAP_BPF
