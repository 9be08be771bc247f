package com.amazonaws.services.lambda.runtime;

/** Who called, for callers that Amazon Cognito knows. */
public interface CognitoIdentity {
    String getIdentityId();

    String getIdentityPoolId();
}
