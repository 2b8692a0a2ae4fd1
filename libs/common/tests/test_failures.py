import ssl

from edugraph_common.contracts.errors import what


def _refused() -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_message = "self-signed certificate in certificate chain"
    return error


def test_an_error_is_told_by_its_kind_and_not_by_its_text() -> None:
    assert what(ValueError("a pupil's name")) == "ValueError"


def test_a_refused_certificate_is_found_wherever_a_driver_keeps_it() -> None:
    caused, held, several = (
        OSError(),
        ConnectionError(_refused()),
        ExceptionGroup("all addresses", [_refused()]),
    )
    caused.__cause__ = _refused()
    told = "its certificate was refused: self-signed certificate in certificate chain; see SSL_CERT_FILE"
    assert [what(error) for error in (caused, held, several)] == [told] * 3


def test_causes_in_a_circle_end() -> None:
    one, other = OSError(), TimeoutError()
    one.__cause__, other.__cause__ = other, one
    assert what(one) == "OSError"
