.venv/ready: pyproject.toml
	python3 -m venv .venv && .venv/bin/pip -q install --disable-pip-version-check -e '.[test]' && touch $@
