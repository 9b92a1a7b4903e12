package judges;

import eu.europa.esig.dss.enumerations.Indication;
import eu.europa.esig.dss.model.FileDocument;
import eu.europa.esig.dss.model.x509.CertificateToken;
import eu.europa.esig.dss.spi.DSSUtils;
import eu.europa.esig.dss.spi.validation.CommonCertificateVerifier;
import eu.europa.esig.dss.spi.x509.CommonTrustedCertificateSource;
import eu.europa.esig.dss.spi.x509.revocation.crl.ExternalResourcesCRLSource;
import eu.europa.esig.dss.validation.SignedDocumentValidator;
import eu.europa.esig.dss.validation.reports.Reports;
import java.io.File;
import java.io.FileInputStream;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Collectors;
import org.apache.pdfbox.Loader;
import org.apache.pdfbox.pdmodel.PDDocument;
import org.apache.pdfbox.pdmodel.interactive.digitalsignature.PDSignature;
import org.bouncycastle.cert.X509CertificateHolder;
import org.bouncycastle.cms.CMSProcessableByteArray;
import org.bouncycastle.cms.CMSSignedData;
import org.bouncycastle.cms.SignerInformation;
import org.bouncycastle.cms.jcajce.JcaSimpleSignerInfoVerifierBuilder;
import org.bouncycastle.jce.provider.BouncyCastleProvider;
import org.verapdf.core.VeraPDFException;
import org.verapdf.gf.foundry.VeraGreenfieldFoundryProvider;
import org.verapdf.pdfa.Foundries;
import org.verapdf.pdfa.PDFAParser;
import org.verapdf.pdfa.PDFAValidator;
import org.verapdf.pdfa.flavours.PDFAFlavour;
import org.verapdf.pdfa.results.ValidationResult;

/**
 * Judges files: {@code archive FILE...} by veraPDF as PDF/A-3b, {@code seal ROOT CRL,CRL FILE...} by EU DSS with nothing
 * but a root and CRLs, {@code bare FILE...} by PDFBox and BouncyCastle, the signature alone. One line a file: name, verdict, reasons, separated by tabs.
 */
public final class Judge {
    private Judge() {}

    public static void main(String[] arguments) throws Exception {
        if (arguments[0].equals("archive")) {
            VeraGreenfieldFoundryProvider.initialise();
            for (int place = 1; place < arguments.length; place++) {
                print(arguments[place], archive(arguments[place]));
            }
            return;
        }
        if (arguments[0].equals("bare")) {
            for (int place = 1; place < arguments.length; place++) {
                print(arguments[place], bare(arguments[place]));
            }
            return;
        }
        CommonTrustedCertificateSource trusted = new CommonTrustedCertificateSource();
        trusted.addCertificate(DSSUtils.loadCertificate(new File(arguments[1])));
        List<InputStream> lists = new ArrayList<>();
        for (String name : arguments[2].split(",")) {
            lists.add(new FileInputStream(name));
        }
        CommonCertificateVerifier verifier = new CommonCertificateVerifier();
        verifier.setTrustedCertSources(trusted);
        verifier.setCrlSource(new ExternalResourcesCRLSource(lists.toArray(new InputStream[0])));
        verifier.setAIASource(null);
        for (int place = 3; place < arguments.length; place++) {
            print(arguments[place], seal(arguments[place], verifier));
        }
    }

    private static void print(String name, String verdict) {
        System.out.println(new File(name).getName() + "\t" + verdict);
    }

    private static String archive(String name) {
        PDFAFlavour flavour = PDFAFlavour.PDFA_3_B;
        try (FileInputStream file = new FileInputStream(name);
                PDFAParser parser = Foundries.defaultInstance().createParser(file, flavour);
                PDFAValidator validator = Foundries.defaultInstance().createValidator(flavour, false)) {
            ValidationResult result = validator.validate(parser);
            String reasons = result.getTestAssertions().stream()
                    .map(assertion -> assertion.getRuleId().getClause() + " " + assertion.getMessage())
                    .distinct()
                    .collect(Collectors.joining(" | "));
            return result.isCompliant() ? "compliant" : "not compliant\t" + reasons;
        } catch (VeraPDFException | java.io.IOException fault) {
            return "unreadable\t" + fault.getMessage();
        }
    }

    private static String seal(String name, CommonCertificateVerifier verifier) {
        try {
            SignedDocumentValidator validator = SignedDocumentValidator.fromDocument(new FileDocument(name));
            validator.setCertificateVerifier(verifier);
            Reports reports = validator.validateDocument();
            List<String> ids = reports.getSimpleReport().getSignatureIdList();
            if (ids.isEmpty()) {
                return "NO_SIGNATURE";
            }
            return ids.stream().map(id -> verdict(reports, id)).collect(Collectors.joining(" ; "));
        } catch (RuntimeException | StackOverflowError | OutOfMemoryError fault) {
            return "UNREADABLE\t" + String.valueOf(fault.getMessage()).replaceAll("\\s+", " ");
        }
    }

    private static String bare(String name) {
        try {
            byte[] file = Files.readAllBytes(Path.of(name));
            try (PDDocument document = Loader.loadPDF(file)) {
                List<PDSignature> signatures = document.getSignatureDictionaries();
                if (signatures.size() != 1) {
                    return "signatures: " + signatures.size();
                }
                PDSignature signature = signatures.get(0);
                CMSSignedData message = new CMSSignedData(
                        new CMSProcessableByteArray(signature.getSignedContent(file)), signature.getContents(file));
                SignerInformation signer = message.getSignerInfos().getSigners().iterator().next();
                X509CertificateHolder holder = (X509CertificateHolder)
                        message.getCertificates().getMatches(signer.getSID()).iterator().next();
                boolean good = signer.verify(new JcaSimpleSignerInfoVerifierBuilder()
                        .setProvider(new BouncyCastleProvider())
                        .build(holder));
                return good ? "verified" : "not verified";
            }
        } catch (Exception fault) {
            return "not verified\t" + String.valueOf(fault.getMessage()).replaceAll("\\s+", " ");
        }
    }

    private static String verdict(Reports reports, String id) {
        Indication indication = reports.getSimpleReport().getIndication(id);
        return indication + "\t" + reports.getSimpleReport().getSubIndication(id) + "\t"
                + reports.getSimpleReport().getSignatureFormat(id);
    }
}
