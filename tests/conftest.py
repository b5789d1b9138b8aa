from wdbench import provenance

provenance.one_thread()
