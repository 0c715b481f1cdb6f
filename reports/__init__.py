"""Tables, figures and the HTML report, made from a finished run alone."""
