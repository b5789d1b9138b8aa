"""python -m wdbench"""

from wdbench import provenance

provenance.one_thread()

from wdbench.verbs import main  # noqa: E402

if __name__ == "__main__":
    main()
