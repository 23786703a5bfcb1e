import os

from kc.runtime import keep_from_broken_kernels


def test_avx2_kernels_are_disabled_without_avx512(tmp_path, monkeypatch):
    cpu = tmp_path / "cpuinfo"
    for flags, given, expected in (
        ("avx avx2", None, "AVX"),
        ("avx avx2 avx512f", None, None),
        ("avx avx2", "SSE41", "SSE41"),
    ):
        cpu.write_text(f"flags : {flags}")
        monkeypatch.delenv("ONEDNN_MAX_CPU_ISA", raising=False)
        if given:
            monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", given)
        keep_from_broken_kernels(cpu)
        assert os.environ.get("ONEDNN_MAX_CPU_ISA") == expected
    monkeypatch.delenv("ONEDNN_MAX_CPU_ISA", raising=False)
    keep_from_broken_kernels(tmp_path / "none")
    assert "ONEDNN_MAX_CPU_ISA" not in os.environ
